"""
=====================================================
Successive halving: train many a little, a few longer
=====================================================

A few epochs are often enough to recognise bad settings. Successive halving trains all
candidates for a few epochs, keeps the better third, trains these for three times as
many epochs, and so on. The resource is ``max_epochs``. The search uses no labels. Real
recordings (UCI Japanese Vowels).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

X, y = load_japanese_vowels(split="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)

# %%
# All candidates predict the same steps of the same sequences, so their ``score`` can be
# compared: the information that contexts and later latents share, in nats, on held-out
# sequences.

search = HalvingGridSearchCV(
    CPCTransformer(prediction_steps=4, skip_steps=3, random_state=0, n_jobs=1),
    {
        "lr": [1e-4, 5e-4, 2e-3],
        "context": ["gru", "conv"],
        "latent_size": [16, 64, 128],
    },
    resource="max_epochs",
    min_resources=2,
    max_resources=18,
    factor=3,
    cv=ShuffleSplit(1, test_size=0.25, random_state=0),
    random_state=0,
    n_jobs=2,
)
search.fit(X)
print(f"candidates by round: {search.n_candidates_}, epochs: {search.n_resources_}")
print(f"best: {search.best_params_}, {search.best_score_:.2f} nats")

# %%
# How many epochs did this save, compared with training all candidates to the end?

spent = np.dot(search.n_candidates_, search.n_resources_)
full = search.n_candidates_[0] * search.max_resources_
print(f"{spent} epochs instead of {full}")

# %%
# Only now do we use the labels.

classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
classifier.fit(search.transform(X), y)
accuracy = classifier.score(search.transform(X_test), y_test)
print(f"test accuracy with the features of the best candidate: {accuracy:.3f}")

# %%
# The curve of a dropped candidate ends where the next round begins.

results = search.cv_results_
curves = {}
for params, epochs, score in zip(
    results["params"], results["n_resources"], results["mean_test_score"], strict=True
):
    settings = {name: v for name, v in params.items() if name != "max_epochs"}
    curves.setdefault(str(settings), []).append((epochs, score))

fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
best = {name: v for name, v in search.best_params_.items() if name != "max_epochs"}
for settings, points in curves.items():
    epochs, scores = zip(*points, strict=True)
    if settings == str(best):
        label = ", ".join(f"{name}={value}" for name, value in best.items())
        ax.plot(epochs, scores, "o-", color="C1", zorder=3, label=label)
    else:
        ax.plot(epochs, scores, "o-", color="0.7")
ax.set(
    xscale="log",
    xlabel="epochs (max_epochs)",
    ylabel="score on held-out sequences, nats",
    title="18 candidates, then 6, then 2",
)
ax.set_xticks(search.n_resources_, [str(n) for n in search.n_resources_])
ax.minorticks_off()
ax.legend(title="best")
plt.show()
