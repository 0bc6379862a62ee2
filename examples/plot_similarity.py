"""
==================================================
Similarity search: who else sounds like this voice
==================================================

Features in which distance means something serve more than classifiers. Here an
utterance is the question and those most like it are the answer, without a label
anywhere: labels only count, in the end, how often the answer is the same speaker.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer, EmbeddingDisplay
from sklearn_cpc.datasets import load_japanese_vowels

X, speaker = load_japanese_vowels(split="all", return_X_y=True)
print(f"{len(X)} utterances of {len(set(speaker))} speakers, none of them labelled")

# %%
# Four ways to make a vector of an utterance
# ------------------------------------------
# Lengths differ, so the values themselves have to be padded. Mean and deviation of each
# channel need no padding. The last two are a network, untrained and trained.

cpc = CPCTransformer(random_state=0, n_jobs=1).fit(X)
untrained = CPCTransformer(random_state=0, n_jobs=1, max_epochs=0).fit(X)
longest = max(map(len, X))
vectors = {
    "raw values": np.stack(
        [np.pad(x, ((0, longest - len(x)), (0, 0))).ravel() for x in X]
    ),
    "mean, deviation": np.stack([np.r_[x.mean(0), x.std(0)] for x in X]),
    "untrained": untrained.transform(X),
    "CPC": cpc.transform(X),
}

# %%
# Ask with every utterance
# ------------------------
# The index is scikit-learn's; the distance is the cosine of the scaled features. An
# utterance is no answer to itself.

n_answers = 20
same = {}
for name, Z in vectors.items():
    Z = StandardScaler().fit_transform(Z)
    index = NearestNeighbors(n_neighbors=n_answers, metric="cosine").fit(Z)
    answers = index.kneighbors(return_distance=False)
    same[name] = speaker[answers] == speaker[:, None]

print("part of the answers that are the same speaker")
for name, right in same.items():
    print(
        f"{name:16s} first: {right[:, 0].mean():.3f}, ten: {right[:, :10].mean():.3f}"
    )

# %%
# One question
# ------------
# Its answers come with their distance, itself first. A model file and the features are
# all that a search engine has to keep: new utterances are transformed as they come.

Z = StandardScaler().fit_transform(vectors["CPC"])
index = NearestNeighbors(n_neighbors=5, metric="cosine").fit(Z)
question = np.flatnonzero(speaker == 3)[0]
distances, answers = index.kneighbors(Z[[question]])
for distance, answer in zip(distances[0], answers[0], strict=True):
    print(f"utterance {answer:3d}, speaker {speaker[answer]}, distance {distance:.2f}")

# %%
# The voices on a map
# -------------------
# Two principal components of the features, which tell the speakers apart only partly:
# the search uses all of them.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, hits in same.items():
    precision = np.cumsum(hits.mean(0)) / np.arange(1, n_answers + 1)
    left.plot(np.arange(1, n_answers + 1), precision, marker=".", label=name)
left.set(
    xlabel="number of answers",
    ylabel="part of them by the same speaker",
    title="Every utterance asks once",
)
left.set_xticks([1, 5, 10, 15, 20])
left.legend(title="features")
points = EmbeddingDisplay.from_estimator(cpc, X, speaker, ax=right).points
right.scatter(*points[question], s=90, facecolors="none", edgecolors="black")
right.annotate("question", points[question], xytext=(8, 8), textcoords="offset points")
right.set_title("CPC features, by speaker")
plt.show()
