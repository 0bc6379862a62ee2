"""
========================================
Speech: phones, learned without labels
========================================

Eight synthetic voices say random words. We train on their waveforms without labels.
Then a linear classifier recognises the phone of every 10 ms of new recordings. Needs
``pip install espeakng-loader``, which makes the speech.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sklearn_cpc import CPCTransformer

sys.path += ["benchmarks", "../benchmarks"]  # from the root, and in the gallery
from synthetic_speech import VOICES, log_mel, phone_at, utterances

RATE = 16_000
waveforms, voices, phones = utterances(n_each=12, n_words=6)
rows = np.random.default_rng(0).permutation(len(waveforms))
test, train = rows[:24], rows[24:]
seconds = sum(len(waveforms[row]) for row in train) / RATE
print(f"{len(VOICES)} voices, {len(train)} recordings, {seconds:.0f} s to train on")

# %%
# Train without labels
# --------------------
# ``encoder="log_mel"`` gives a latent every 10 ms. The voices are the groups. Negatives
# then have the same voice as the target, so the features describe what is said rather
# than who speaks.

options = {"encoder": "log_mel", "features": "both", "random_state": 0, "n_jobs": 1}
X = [waveforms[row] for row in train]
untrained = CPCTransformer(**options, max_epochs=0).fit(X, groups=voices[train])
cpc = CPCTransformer(**options, max_epochs=50).fit(X, groups=voices[train])

# %%
# Which phone is it?
# ------------------
# The controls are the log-mel spectra, and the same network without training.


def frames(features, rows):
    """Return the features of all steps of some recordings, and their phones."""
    steps = [features(waveforms[row]) for row in rows]
    labels = [
        phone_at(phones[row], np.arange(len(h)) / 100)
        for row, h in zip(rows, steps, strict=True)
    ]
    return np.concatenate(steps), np.concatenate(labels)


ways = {
    "log-mel": log_mel,
    "untrained": lambda x: untrained.transform_steps([x])[0],
    "CPC": lambda x: cpc.transform_steps([x])[0],
}
accuracy = {}
for name, features in ways.items():
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    accuracy[name] = classifier.fit(*frames(features, train)).score(
        *frames(features, test)
    )
    print(f"{name:10s}{accuracy[name]:.1%} of the test frames")

# %%
# A second and a half of a test recording
# ---------------------------------------
# The features change where the phone changes.

row, end = test[0], 1.5
components = PCA(8, whiten=True, random_state=0).fit(frames(ways["CPC"], train)[0])
shown = components.transform(ways["CPC"](waveforms[row])[: int(100 * end)])

fig = plt.figure(figsize=(11, 4.6), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=[3, 1])
wave, names, image = left.subplots(3, 1, sharex=True, height_ratios=[2, 0.6, 3])
time = np.arange(len(waveforms[row])) / RATE
wave.plot(time, waveforms[row], linewidth=0.3, color="0.3")
wave.set(ylim=(-1.05, 1.05), yticks=[], ylabel="waveform")
begins, labels = zip(*phones[row], strict=True)
ends = [*begins[1:], len(waveforms[row]) / RATE]
for i, (begin, stop, label) in enumerate(zip(begins, ends, labels, strict=True)):
    names.axvspan(begin, stop, color=("0.85", "0.95")[i % 2], linewidth=0)
    if stop - begin > 0.035 and stop < end:
        names.text((begin + stop) / 2, 0.5, label, ha="center", va="center", fontsize=8)
names.set(ylim=(0, 1), yticks=[], ylabel="phone")
image.imshow(
    shown.T, aspect="auto", cmap="RdBu", vmin=-3, vmax=3, extent=(0, end, 8.5, 0.5)
)
image.set(xlabel="seconds", ylabel="feature", xlim=(0, end))
ax = right.subplots()
bars = ax.bar(accuracy.keys(), accuracy.values(), color=["0.75", "0.5", "tab:red"])
ax.bar_label(bars, fmt="%.2f")
ax.set(ylabel="accuracy of single frames", ylim=(0, 0.8), title="phones, test set")
plt.show()
