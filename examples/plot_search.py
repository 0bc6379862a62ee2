"""
=======================================================
Hyperparameter search: the whole pipeline, with labels
=======================================================

If you have labels, search with them. A random search tries settings of the transformer
and of the classifier together, as for any scikit-learn pipeline. For a search without
labels see :ref:`sphx_glr_auto_examples_plot_halving.py`. Real recordings (UCI Japanese
Vowels).
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

X, y = load_japanese_vowels(split="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)

# %%
# The search space
# ----------------
# Names of parameters get the pipeline step as a prefix. ``max_epochs=0``, the untrained
# network, is one of the candidates: it is the control. Each fit has one thread; the
# search runs two processes.

pipe = make_pipeline(
    CPCTransformer(latent_size=64, context_size=64, random_state=0, n_jobs=1),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
)
space = {
    "cpctransformer__max_epochs": [0, 3, 10],
    "cpctransformer__prediction_steps": [2, 4, 8],
    "cpctransformer__context": ["gru", "conv"],
    "cpctransformer__features": ["context", "all"],
    "logisticregression__C": loguniform(1e-3, 1),
}
search = RandomizedSearchCV(
    pipe,
    space,
    n_iter=12,
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
    random_state=0,
    n_jobs=2,
)
search.fit(X, y)
for name, value in search.best_params_.items():
    print(f"{name.split('__')[1]:18s}{value}")

# %%
# The best candidate is fitted again on all training sequences, and only this one is
# evaluated on the test set.

print(f"cross-validated: {search.best_score_:.3f}")
print(f"test:            {search.score(X_test, y_test):.3f}")

# %%
# Which settings matter
# ---------------------
# Each dot is a candidate, and its bar is the standard deviation over the folds.
# Differences between candidates with strongly overlapping bars mean little.

results = search.cv_results_
order = np.argsort(results["mean_test_score"])
kinds = {
    "context": "contexts only",
    "all": "all layers",
}
colours = {0: "0.6", 3: "tab:blue", 10: "tab:orange"}

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
for place, i in enumerate(order):
    params = results["params"][i]
    epochs = params["cpctransformer__max_epochs"]
    filled = params["cpctransformer__features"] == "all"
    ax.errorbar(
        results["mean_test_score"][i],
        place,
        xerr=results["std_test_score"][i],
        fmt="o",
        color=colours[epochs],
        markerfacecolor=colours[epochs] if filled else "white",
    )
for epochs, colour in colours.items():
    name = f"{epochs} epochs" if epochs else "untrained"
    ax.plot([], [], "o", color=colour, label=name)
ax.plot([], [], "o", color="black", label=kinds["all"])
ax.plot([], [], "o", color="black", markerfacecolor="white", label=kinds["context"])
ax.set(
    xlabel="accuracy, mean ± std of 3 folds",
    ylabel="candidate, by rank",
    title="12 candidates of a random search",
)
ax.set_yticks([0, len(order) - 1], [f"{len(order)}th", "1st"])
ax.legend(loc="upper left")
plt.show()
