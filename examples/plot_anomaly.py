"""
=========================================
Anomalies: five minutes of a heart's beat
=========================================

A model that has learned how a signal goes on is surprised when it does not.
``score_samples`` says how well each window could be foretold, in nats, and needs no
example of what an anomaly is. The electrocardiogram has many odd beats, stretches of
muscle noise, and an electrode that loses contact.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import find_peaks, resample_poly
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_electrocardiogram
from sklearn_cpc.preprocessing import sliding_windows

ecg = load_electrocardiogram()
rate = ecg.sampling_rate // 3
signal = resample_poly(ecg.data, 1, 3)  # 120 steps a second are enough here

# %%
# Learn from the recording itself
# -------------------------------
# Nobody has to say which part is sound. What is rare teaches the model little.

X = sliding_windows([signal], 2, 0.6, sampling_rate=rate).X  # of two seconds
cpc = CPCTransformer(random_state=0, n_jobs=1).fit(X)
print(f"{len(X)} windows; trained for {cpc.n_epochs_} epochs")
print("contrastive accuracy by step:", *np.round(cpc.contrastive_accuracy(X), 2))

# %%
# Which moments surprise it?
# --------------------------
# The score of a window of two seconds, four times a second. The lowest three per cent
# are looked at.

dense = sliding_windows([signal], 2, 0.25, sampling_rate=rate)
time = dense.start / rate + 1  # their centres, in seconds
score = cpc.score_samples(dense.X)
alarm = score < np.quantile(score, 0.03)
print("surprising seconds:", *sorted({int(t) for t in time[alarm]}))

# %%
# Odd beats are another matter
# ----------------------------
# Every fourth beat comes too early and looks odd. The model has learned these like any
# other, and they surprise it little. What is not rare has to be shown: by five odd
# and five usual beats with a label, and a window of two seconds around each. No
# annotations come with the recording: by a rule of thumb, an odd beat is one that a
# trough of 0.45 mV follows. An area under the curve of 0.5 is guessing, 1 is right: ten
# labels are too few here, with the trained model and without.

beats, _ = find_peaks(ecg.data, prominence=0.8, distance=ecg.sampling_rate // 4)
beats = beats[(beats > 540) & (beats < len(ecg.data) - 540)]
level = np.array([np.median(ecg.data[b - 540 : b + 540]) for b in beats])
trough = np.array([ecg.data[b + 36 : b + 144].min() for b in beats]) - level
odd = trough < -0.45
around = np.stack([signal[b // 3 - 120 : b // 3 + 120] for b in beats])
print(f"{odd.sum()} of {len(beats)} beats are odd")
print(f"surprise alone:     {roc_auc_score(odd, -cpc.score_samples(around)):.2f}")
untrained = CPCTransformer(random_state=0, n_jobs=1, max_epochs=0).fit(X)
for name, model in (("untrained", untrained), ("CPC", cpc)):
    Z = StandardScaler().fit_transform(model.transform(around))
    areas = []
    for draw in range(20):
        rng = np.random.default_rng(draw)
        few = [rng.choice(np.flatnonzero(odd == c), 5, replace=False) for c in (0, 1)]
        few = np.concatenate(few)
        judge = LogisticRegression(max_iter=1000).fit(Z[few], odd[few])
        rest = np.delete(np.arange(len(odd)), few)
        areas.append(roc_auc_score(odd[rest], judge.decision_function(Z[rest])))
    print(f"{name:10s}ten labels: {np.mean(areas):.2f}, mean of 20 draws")

# %%
# The recording and its surprises
# -------------------------------

fig, axes = plt.subplots(3, 1, figsize=(9, 6.4), layout="constrained")
seconds = np.arange(len(signal)) / rate
whole, curve, detail = axes
whole.plot(seconds, signal, linewidth=0.4)
whole.set(ylabel="ECG, mV", title="Five minutes of an electrocardiogram")
curve.plot(time, score, linewidth=0.8, color="tab:green")
curve.plot(time[alarm], score[alarm], ".", color="tab:red")
curve.set(ylabel="score, nats", xlabel="time, seconds")
curve.set_title("How well each window could be foretold; red: the lowest 3 %")
lowest = time[score.argmin()]
near = np.abs(seconds - lowest) < 8
detail.plot(seconds[near], signal[near], linewidth=0.8)
detail.set(ylabel="ECG, mV", xlabel="time, seconds", title="Around the lowest score")
curve.sharex(whole)
for ax in (whole, detail):
    for t in time[alarm]:
        ax.axvspan(t - 0.125, t + 0.125, color="tab:red", alpha=0.25, linewidth=0)
detail.set_xlim(seconds[near][0], seconds[near][-1])
whole.set_xlim(0, seconds[-1])
plt.show()
