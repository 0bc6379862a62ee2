"""
============================================
Quickstart: who is speaking, with few labels
============================================

Nine speakers utter a vowel. Each utterance is a short sequence of 12 channels
and of its own length. We learn features from the utterances alone, without
labels, and let scikit-learn do the rest.
"""

print("Who is speaking? First the imports, a few seconds.", flush=True)

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

X, y = load_japanese_vowels(split="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
print(f"{len(X)} utterances of {len(set(y))} speakers; the first: {X[0].shape}")

# %%
# In a pipeline
# -------------
# A list of arrays goes in, whatever their lengths. Two controls go with it: the
# values themselves, padded, and the same model without training.


def pad(X, n_steps=29):
    """Return one row for each sequence, zeros at its end."""
    return np.stack([np.pad(x, ((0, n_steps - len(x)), (0, 0))).ravel() for x in X])


def classifier():
    """Return what judges the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


# One thread: a model this small gains nothing from more. ``verbose=1`` shows a bar.
cpc = CPCTransformer(random_state=0, n_jobs=1, verbose=1)
untrained = CPCTransformer(random_state=0, n_jobs=1, max_epochs=0)
pipelines = {
    "raw values": make_pipeline(FunctionTransformer(pad), classifier()),
    "untrained": make_pipeline(untrained, classifier()),
    "CPC": make_pipeline(cpc, classifier()),
}
for name, pipeline in pipelines.items():
    accuracy = pipeline.fit(X, y).score(X_test, y_test)
    print(f"{name:12s} {accuracy:.3f}", flush=True)

# %%
# Pre-trained without labels, then five labels per speaker
# --------------------------------------------------------
# With all labels this data set is easy. Usually there are many sequences and few
# labels: train on everything, freeze the features, and fit a classifier on the
# few. ``FrozenEstimator`` keeps ``fit`` from training them again.

features = {
    "raw values": FunctionTransformer(pad),
    "untrained": FrozenEstimator(pipelines["untrained"][0]),
    "CPC": FrozenEstimator(pipelines["CPC"][0]),
}
n_labels = [1, 2, 5, 10, 20]
n_draws = 5
accuracy = {name: np.zeros((len(n_labels), n_draws)) for name in features}
for name, transformer in features.items():
    train, test = transformer.transform(X), transformer.transform(X_test)
    for i, n in enumerate(n_labels):
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            rows = np.concatenate(
                [rng.choice(np.flatnonzero(y == c), n, replace=False) for c in set(y)]
            )
            model = classifier().fit(train[rows], y[rows])
            accuracy[name][i, draw] = model.score(test, y_test)

print("labels per speaker", *(f"{n:6d}" for n in n_labels))
for name, values in accuracy.items():
    print(f"{name:18s}", *(f"{value:6.3f}" for value in values.mean(1)))

# %%
# The same in one pipeline that can be saved and served:

X_few, _, y_few, _ = train_test_split(X, y, train_size=45, stratify=y, random_state=0)
few = make_pipeline(features["CPC"], classifier()).fit(X_few, y_few)
print(f"45 labels: {few.score(X_test, y_test):.3f}")

# %%
# Searching hyperparameters, without and with labels
# --------------------------------------------------
# The transformer has a score of its own, in nats, that needs no labels: how well
# it tells the future of held-out sequences. It compares models that predict the
# same steps. With ``n_jobs=2``, a search would train two models at once.

print("two searches of 7 short fits each", flush=True)
short = CPCTransformer(max_epochs=3, random_state=0, n_jobs=1)
search = GridSearchCV(short, {"context": ["gru", "conv"]}, cv=3).fit(X)
print(f"without labels: {search.best_params_}, {search.best_score_:.2f} nats")

# %%
# With labels, search the whole pipeline.

pipeline = make_pipeline(short, classifier())
search = GridSearchCV(pipeline, {"cpctransformer__prediction_steps": [2, 8]}, cv=3)
search.fit(X, y)
print(f"with labels: {search.best_params_}, accuracy {search.best_score_:.3f}")

# %%
# Fewer labels, larger gain
# -------------------------

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in accuracy.items():
    mean, deviation = values.mean(1), values.std(1)
    (line,) = ax.plot(n_labels, mean, marker="o", label=name)
    ax.fill_between(
        n_labels, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15
    )
ax.set(
    xscale="log",
    xlabel="labelled utterances per speaker",
    ylabel="test accuracy",
    title="Speaker recognition, mean and deviation of 5 draws",
)
ax.set_xticks(n_labels, [str(n) for n in n_labels])
ax.minorticks_off()
ax.legend(title="features")
if plt.get_backend().lower() == "agg":  # there is no display
    fig.savefig("quickstart.png")
    print("The figure is in quickstart.png.")
else:
    plt.show()
