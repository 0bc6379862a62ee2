"""
============================================
Quickstart: who is speaking, with few labels
============================================

Nine speakers utter a vowel. Each utterance is a short sequence with 12 channels; the
lengths differ. We learn features from the utterances without labels. Then a classifier
of scikit-learn recognises the speakers from few labels. Real recordings (UCI Japanese
Vowels).
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
# The input is a list of arrays with different lengths. There are two controls: the
# padded values, and the same model without training.


def pad(X, n_steps=29):
    """Return one row for each sequence, zeros at its end."""
    return np.stack([np.pad(x, ((0, n_steps - len(x)), (0, 0))).ravel() for x in X])


def classifier():
    """Return the classifier that is trained on the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


# More threads would not make so small a model faster. ``verbose=1`` shows a bar.
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
# With all labels, this data set is easy. Usually there are many sequences and few
# labels: train on all sequences, freeze the features, and fit a classifier on the few
# labelled ones. With ``FrozenEstimator``, ``fit`` does not train the features again.

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
# The same as one pipeline, which you can save and serve:

X_few, _, y_few, _ = train_test_split(X, y, train_size=45, stratify=y, random_state=0)
few = make_pipeline(features["CPC"], classifier()).fit(X_few, y_few)
print(f"45 labels: {few.score(X_test, y_test):.3f}")

# %%
# Searching hyperparameters, without and with labels
# --------------------------------------------------
# The score of the transformer, in nats, needs no labels: it measures how well the model
# recognises what comes next in held-out sequences. Use it to compare models that
# predict the same steps. With ``n_jobs=2``, a search would train two models at once.

print("two searches of 7 short fits each", flush=True)
short = CPCTransformer(max_epochs=3, random_state=0, n_jobs=1)
search = GridSearchCV(short, {"context": ["gru", "conv"]}, cv=3).fit(X)
print(f"without labels: {search.best_params_}, {search.best_score_:.2f} nats")

# %%
# With labels, search over the whole pipeline.

pipeline = make_pipeline(short, classifier())
search = GridSearchCV(pipeline, {"cpctransformer__prediction_steps": [2, 8]}, cv=3)
search.fit(X, y)
print(f"with labels: {search.best_params_}, accuracy {search.best_score_:.3f}")

# %%
# The fewer labels, the larger the gain
# -------------------------------------

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
    title="Speaker recognition, mean ± std of 5 draws of labels",
)
ax.set_xticks(n_labels, [str(n) for n in n_labels])
ax.minorticks_off()
ax.legend(title="features")
if plt.get_backend().lower() == "agg":  # there is no display
    fig.savefig("quickstart.png")
    print("The figure is in quickstart.png.")
else:
    plt.show()
