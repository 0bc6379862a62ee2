"""
===========================
Speech: phones and contexts
===========================

Eight synthetic voices say random words. We train on their waveforms without labels, and
look at what the model makes of a recording it has not heard. Needs
``pip install "sklearn-cpc[plot]" espeakng-loader``.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sklearn_cpc import CPCTransformer

sys.path += ["benchmarks", "../benchmarks"]  # from the root, and in the gallery
from synthetic_speech import VOICES, phone_at, utterances

RATE = 16_000
waveforms, voices, phones = utterances(n_each=12, n_words=6)
rows = np.random.default_rng(0).permutation(len(waveforms))
test, train = rows[:24], rows[24:]
seconds = sum(len(waveforms[row]) for row in train) / RATE
print(f"{len(VOICES)} voices, {len(train)} recordings, {seconds:.0f} s to train on")

# %%
# Train without labels
# --------------------
# ``encoder="log_mel"`` gives a latent every 10 ms. The voices are the groups: negatives
# of the same voice make the voice useless, so that the features tell what is said.

options = {
    "encoder": "log_mel",
    "features": "both",
    "random_state": 0,
    "n_jobs": 1,
}
X, X_test = ([waveforms[row] for row in part] for part in (train, test))
models = {
    "untrained": CPCTransformer(**options, max_epochs=0),
    "CPC": CPCTransformer(**options, max_epochs=60),
}
for model in models.values():
    model.fit(X, groups=voices[train])

# %%
# Which phone is it?
# ------------------
# A linear classifier on the features of single steps.


def frames(model, rows):
    """Return the features of all steps of some recordings, and their phones."""
    steps = model.transform_steps([waveforms[row] for row in rows])
    labels = [
        phone_at(phones[row], np.arange(len(h)) / 100)
        for row, h in zip(rows, steps, strict=True)
    ]
    return np.concatenate(steps), np.concatenate(labels)


for name, model in models.items():
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    accuracy = classifier.fit(*frames(model, train)).score(*frames(model, test))
    print(f"{name}: {accuracy:.1%} of the test frames")

# %%
# One recording
# -------------

row = test[0]
features = models["CPC"].transform_steps([waveforms[row]])[0]
components = PCA(8, whiten=True, random_state=0).fit(frames(models["CPC"], train)[0])
fig, axes = plt.subplots(
    3, 1, figsize=(9, 6), layout="constrained", height_ratios=[2, 3, 3]
)
n_shown = 150
end = n_shown / 100
time = np.arange(len(waveforms[row])) / RATE
axes[0].plot(time, waveforms[row], linewidth=0.3, color="0.3")
begins, names = zip(*phones[row], (len(waveforms[row]) / RATE, ""), strict=True)
for i, (begin, name) in enumerate(zip(begins, names, strict=True)):
    if begin < end:
        axes[0].axvline(begin, color="C1", linewidth=0.5)
        axes[0].text(begin, 1.02 + 0.15 * (i % 2), name, fontsize=8, color="C1")
axes[0].set(xlim=(0, end), ylim=(-1.1, 1.4), yticks=[], ylabel="waveform, phones")
axes[1].imshow(
    components.transform(features[:n_shown]).T,
    aspect="auto",
    cmap="RdBu",
    vmin=-3,
    vmax=3,
    extent=(0, end, 8.5, 0.5),
)
axes[1].set(xlabel="seconds", ylabel="component of the features")
for name, model in models.items():
    accuracy = model.contrastive_accuracy(X_test)
    axes[2].plot(10 * np.arange(1, 13), accuracy, marker="o", label=name)
axes[2].axhline(1 / 257, color="0.6", linestyle=":", label="guessing")
axes[2].set(xlabel="milliseconds ahead", ylabel="recognised among 257", ylim=0)
axes[2].legend()
plt.show()
