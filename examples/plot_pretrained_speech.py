"""
======================================
Words from a few examples, no training
======================================

Weights that come with the package turn recordings into features at once. Here a
synthesizer says twenty words in eight voices. A classifier gets a few recordings of two
voices and recognises the words of the other six. Needs the extra ``plot`` and
``pip install espeakng-loader``.

The synthesizer is eSpeak NG. The weights were trained on other words by the same
synthesizer, among others, so this is an easy case. The page on speech has results for
people and a language that the weights have never heard.
"""

import sys
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearn_cpc import CPCTransformer

sys.path += ["benchmarks", "../benchmarks"]  # from the root, and in the gallery
from synthetic_speech import WORDS, Synthesizer

LABELLED, NEW = ("m1", "f1"), ("m4", "m7", "Annie", "max", "ed", "f4")
rng, synthesizer = np.random.default_rng(0), Synthesizer()
X, y, voices = [], [], []
for voice in 3 * LABELLED + NEW:
    for word in WORDS[:20]:
        settings = {"rate": rng.integers(120, 220), "pitch": rng.integers(20, 80)}
        X.append(0.3 * synthesizer.say(word, voice, **settings)[0])
        y.append(word)
        voices.append(voice)
y = np.array(y)
test = np.isin(voices, NEW)
print(f"{len(X)} recordings of {np.mean([len(x) for x in X]) / 16_000:.2f} s")

# %%
# Features without training
# -------------------------
# ``from_pretrained`` reads the weights from the package. The untrained network is the
# control.

begin = time.perf_counter()
cpc = CPCTransformer.from_pretrained("speech", n_jobs=1)
Z = cpc.transform(X)
print(f"{Z.shape[1]} features in {time.perf_counter() - begin:.1f} s")
print("Trained on:", *cpc.card_["data"], sep="\n- ")
control = CPCTransformer(encoder="log_mel", max_epochs=0, n_jobs=1, random_state=0)
features = {"pretrained": Z, "untrained": control.fit_transform(X)}

# %%
# A classifier from one, two, five labels of each word
# ----------------------------------------------------
# Everything but the classifier may see all recordings, because it needs no labels. The
# right picture shows ten of the words in all voices.

N_LABELS = (1, 2, 5)


def accuracy(Z, n_labels, seed):
    """Return the accuracy on new voices with so many labels a word."""
    rng = np.random.default_rng(seed)
    known = (np.flatnonzero(~test & (y == word)) for word in np.unique(y))
    rows = np.concatenate([rng.permutation(rows)[:n_labels] for rows in known])
    prepare = make_pipeline(StandardScaler(), PCA(0.95, random_state=0), Normalizer())
    Z = prepare.fit_transform(Z)
    classifier = LogisticRegression(C=100, max_iter=1000).fit(Z[rows], y[rows])
    return classifier.score(Z[test], y[test])


fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, values in features.items():
    scores = [np.mean([accuracy(values, n, s) for s in range(5)]) for n in N_LABELS]
    print(name, *(f"{score:.3f}" for score in scores))
    axes[0].plot([str(n) for n in N_LABELS], scores, marker="o", label=name)
axes[0].axhline(1 / 20, color="0.6", linestyle=":", label="guessing")
axes[0].set(
    xlabel="labelled recordings of each word",
    ylabel="accuracy on six new voices",
    ylim=(0, 1.03),
)
axes[0].legend(loc="lower right")

# Ten of the words, in all voices
places = PCA(2, random_state=0).fit_transform(StandardScaler().fit_transform(Z))
for number, word in enumerate(WORDS[:10]):
    points = places[y == word]
    color = plt.cm.tab10(number)
    axes[1].scatter(*points.T, s=14, color=color)
    axes[1].text(*np.median(points, 0), word, color=color, weight="bold", ha="center")
axes[1].set(
    title="two components of the features", xticks=[], yticks=[], xlabel="", ylabel=""
)
plt.show()
