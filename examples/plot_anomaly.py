"""
===================================================
Anomalies: faults in a signal, without examples
===================================================

``score_samples`` measures how well a trained model recognises what comes next in each
window, in nats. Low scores are anomalies. No labels and no examples of faults are
needed. We train on three minutes of a real electrocardiogram and test on the other two,
in which we make five kinds of faults.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import resample_poly
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_electrocardiogram
from sklearn_cpc.preprocessing import sliding_windows

RATE = 120  # steps a second
signal = resample_poly(load_electrocardiogram().data, 1, 3)
windows = sliding_windows([signal], 2, 0.5, sampling_rate=RATE)  # of two seconds
X = np.stack(windows.X)[:, :, 0]
first_minutes = windows.start < 0.6 * len(signal) - 2 * RATE
X_train, X_test = X[first_minutes], X[~first_minutes][4::2]
print(f"{len(X_train)} windows to train on, {len(X_test)} to test")

# %%
# Five faults
# -----------
# A window that is played backwards has exactly the same values as before, in the wrong
# order.

rng = np.random.default_rng(0)
step = np.arange(2 * RATE)
faults = {
    "backwards": X_test[:, ::-1],
    "upside down": 2 * X_test.mean(1, keepdims=True) - X_test,
    "noise": X_test + 0.15 * rng.normal(size=X_test.shape),
    "lost contact": np.where((step > 80) & (step < 160), X_test[:, 80:81], X_test),
    "too slow": np.stack([np.interp(0.7 * step + 36, step, x) for x in X_test]),
}

# %%
# Four detectors
# --------------
# The score of the model; the same without training; and an isolation forest on simple
# statistics or on the features of the untrained network.


def statistics(X):
    """Return mean, standard deviation, minimum and maximum of each window."""
    return np.stack([X.mean(1), X.std(1), X.min(1), X.max(1)], axis=1)


cpc = CPCTransformer(random_state=0, n_jobs=1).fit(X_train)
untrained = CPCTransformer(max_epochs=0, random_state=0, n_jobs=1).fit(X_train)
detectors = {
    "statistics, isolation forest": make_pipeline(
        FunctionTransformer(statistics),
        StandardScaler(),
        IsolationForest(random_state=0),
    ).fit(X_train),
    "untrained, isolation forest": make_pipeline(
        FrozenEstimator(untrained), IsolationForest(random_state=0)
    ).fit(X_train),
    "untrained, score": untrained,
    "CPC, score": cpc,
}
areas = {}
print("area under the ROC curve    ", *(f"{fault:>12s}" for fault in faults))
for name, detector in detectors.items():
    normal = detector.score_samples(X_test)
    areas[name] = [
        roc_auc_score(
            np.repeat([0, 1], len(X_test)), -np.r_[normal, detector.score_samples(F)]
        )
        for F in faults.values()
    ]
    print(f"{name:28s}", *(f"{area:12.2f}" for area in areas[name]))

# %%
# What the score finds
# --------------------
# Top: the area under the ROC curve, by fault. Guessing is 0.5. The score finds all five
# faults, because each breaks the order of the signal. Simple statistics find only those
# that change the values.
#
# Bottom: the score over the whole recording, which includes the training part. It is
# lowest in noisy stretches, and high at slow swings of the baseline, which are easy to
# predict: of the lost contact at 209 s, it marks only the beginning. It ignores the
# many odd beats, which the model has learned like all others. Events that are not rare
# need labels: see :ref:`sphx_glr_auto_examples_plot_attribution.py`.

dense = sliding_windows([signal], 2, 0.25, sampling_rate=RATE)
time = dense.start / RATE + 1  # the centre of each window, in seconds
score = cpc.score_samples(dense.X)
alarm = score < np.quantile(score, 0.03)

fig, axes = plt.subplots(
    3, 1, figsize=(9, 7), layout="constrained", height_ratios=[2, 1, 1]
)
place = np.arange(len(faults))
for i, (name, values) in enumerate(areas.items()):
    color = "tab:red" if name.startswith("CPC") else f"{0.75 - 0.2 * i:.2f}"
    axes[0].bar(place + 0.2 * (i - 1.5), values, 0.19, label=name, color=color)
axes[0].axhline(0.5, color="black", linewidth=0.8, linestyle=":")
axes[0].set_xticks(place, faults)
axes[0].set(ylabel="area under the ROC curve", ylim=(0, 1.35))
axes[0].legend(loc="upper center", ncols=2)
seconds = np.arange(len(signal)) / RATE
axes[1].plot(seconds, signal, linewidth=0.4)
axes[1].set(ylabel="ECG, mV", xlim=(0, seconds[-1]))
axes[2].plot(time, score, linewidth=0.8, color="tab:green")
axes[2].plot(time[alarm], score[alarm], ".", color="tab:red", label="lowest 3 %")
axes[2].set(ylabel="score, nats", xlabel="time, seconds", xlim=(0, seconds[-1]))
axes[2].legend(loc="lower right")
for t in time[alarm]:
    axes[1].axvspan(t - 0.125, t + 0.125, color="tab:red", alpha=0.3, linewidth=0)
plt.show()
