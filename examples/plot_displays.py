"""
====================================
Pictures: has it learned, and what
====================================

Four displays, in the form of scikit-learn's, show how a training went, how far ahead
the model tells the future, what its features look like over time, and which samples
are alike. Here, for an electrocardiogram.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import find_peaks, resample_poly

from sklearn_cpc import (
    CPCTransformer,
    EmbeddingDisplay,
    StepAccuracyDisplay,
    StepFeaturesDisplay,
    TrainingCurveDisplay,
)
from sklearn_cpc.datasets import load_electrocardiogram
from sklearn_cpc.preprocessing import sliding_windows

ecg = load_electrocardiogram()
rate = 120
signal = resample_poly(ecg.data, 1, 3)
X = sliding_windows([signal], 2, 0.5, sampling_rate=rate).X  # of two seconds

# %%
# One of the five minutes is set aside to validate on. Windows overlap, so that single
# ones at random would be known from their neighbours.

minute = np.arange(len(X)) * 5 // len(X)
cpc = CPCTransformer(max_epochs=12, random_state=0, n_jobs=1)
cpc.set_params(early_stopping=True, validation_fraction=0.2)
cpc.fit(X, groups=minute)
print(f"score on the part set aside: {max(cpc.validation_scores_):.2f} nats")

# %%
# Single beats, and a rule of thumb for the odd ones: a trough follows.

beats, _ = find_peaks(signal, prominence=0.8, distance=rate // 4)
beats = beats[(beats > rate) & (beats < len(signal) - rate)]
around = np.stack([signal[b - rate : b + rate] for b in beats])
level = np.median(around, axis=1)
odd = around[:, rate + 12 : rate + 48].min(1) - level < -0.45
kind = np.where(odd, "odd", "usual")

# %%
# - Top left: the loss comes down from that of guessing, and the score on the part that
#   was set aside rises with it. If it fell again, the model would overfit.
# - Top right: the nearer, the easier. At 1 everywhere, the task would be too easy.
# - Bottom left: each beat leaves its trace in the features, for a while.
# - Bottom right: every dot is a beat.

fig = plt.figure(figsize=(11, 8), layout="constrained")
axes = fig.subplots(2, 2)
TrainingCurveDisplay.from_estimator(cpc, ax=axes[0, 0])
StepAccuracyDisplay.from_estimator(cpc, X[::3], ax=axes[0, 1])
StepFeaturesDisplay.from_estimator(cpc, X, sample=90, sampling_rate=rate, ax=axes[1, 0])
EmbeddingDisplay.from_estimator(cpc, around, kind, ax=axes[1, 1])
plt.show()
