"""
==================================================
Similarity search: who else sounds like this voice
==================================================

Features are useful without any classifier: here we search for the utterances that are
most similar to a query. No label is used, except to count at the end how often the
results are from the same speaker. Real recordings (UCI Japanese Vowels).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer, EmbeddingDisplay
from sklearn_cpc.datasets import load_japanese_vowels

X, speaker = load_japanese_vowels(split="all", return_X_y=True)
print(f"{len(X)} utterances of {len(set(speaker))} speakers, without labels")

# %%
# Four feature vectors of an utterance
# ------------------------------------
# The padded values; mean and standard deviation of each channel; the network without
# training; and the trained network.

cpc = CPCTransformer(random_state=0, n_jobs=1).fit(X)
untrained = CPCTransformer(random_state=0, n_jobs=1, max_epochs=0).fit(X)
longest = max(map(len, X))
vectors = {
    "raw values": np.stack(
        [np.pad(x, ((0, longest - len(x)), (0, 0))).ravel() for x in X]
    ),
    "mean and std": np.stack([np.r_[x.mean(0), x.std(0)] for x in X]),
    "untrained": untrained.transform(X),
    "CPC": cpc.transform(X),
}

# %%
# Every utterance is a query
# --------------------------
# We use scikit-learn's nearest neighbours with the cosine distance of scaled features.
# A query is not a result of itself.

n_results = 20
same = {}
for name, Z in vectors.items():
    Z = StandardScaler().fit_transform(Z)
    index = NearestNeighbors(n_neighbors=n_results, metric="cosine").fit(Z)
    results = index.kneighbors(return_distance=False)
    same[name] = speaker[results] == speaker[:, None]

print("proportion of results from the same speaker")
for name, right in same.items():
    print(
        f"{name:16s} first: {right[:, 0].mean():.3f}, ten: {right[:, :10].mean():.3f}"
    )

# %%
# One query
# ---------
# The results come with their distance; the first one is the query itself. A search
# engine stores the model file and the features, and transforms new utterances when they
# arrive.

Z = StandardScaler().fit_transform(vectors["CPC"])
index = NearestNeighbors(n_neighbors=5, metric="cosine").fit(Z)
query = np.flatnonzero(speaker == 3)[0]
distances, results = index.kneighbors(Z[[query]])
for distance, result in zip(distances[0], results[0], strict=True):
    print(f"utterance {result:3d}, speaker {speaker[result]}, distance {distance:.2f}")

# %%
# The voices on a map
# -------------------
# The map on the right shows two principal components, which separate only some of the
# speakers. The search uses all features.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, hits in same.items():
    precision = np.cumsum(hits.mean(0)) / np.arange(1, n_results + 1)
    left.plot(np.arange(1, n_results + 1), precision, marker=".", label=name)
left.set(
    xlabel="number of results",
    ylabel="proportion from the same speaker",
    title="Every utterance is a query once",
)
left.set_xticks([1, 5, 10, 15, 20])
left.legend(title="features")
points = EmbeddingDisplay.from_estimator(cpc, X, speaker, ax=right).points
right.scatter(*points[query], s=90, facecolors="none", edgecolors="black")
right.annotate("query", points[query], xytext=(8, 8), textcoords="offset points")
right.set_title("CPC features, by speaker")
plt.show()
