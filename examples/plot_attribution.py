"""
=============================================
Attribution: what did the classifier look at?
=============================================

A classifier on CPC features distinguishes odd heart beats from usual ones. Which part
of a beat does it use? ``OcclusionDisplay`` hides one part after the other and shows how
much the score of the class falls. The electrocardiogram is real, without annotations:
by our rule of thumb, a beat is odd if a deep trough follows within 0.4 s.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import find_peaks, resample_poly
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer, OcclusionDisplay
from sklearn_cpc.datasets import load_electrocardiogram

RATE = 120  # steps a second
signal = resample_poly(load_electrocardiogram().data, 1, 3)

# %%
# Beats and their labels
# ----------------------
# A beat is 0.5 s before its peak and 0.75 s after it.

peaks, _ = find_peaks(signal, prominence=0.8, distance=RATE // 4)
peaks = peaks[(peaks > RATE) & (peaks < len(signal) - RATE)]
beats = np.stack([signal[p - RATE // 2 : p + 3 * RATE // 4] for p in peaks])
level = np.array([np.median(signal[p - RATE : p + RATE]) for p in peaks])
after = slice(RATE // 2 + 12, RATE // 2 + 48)  # 0.1 s to 0.4 s after the peak
odd = beats[:, after].min(1) - level < -0.45
kind = np.where(odd, "odd", "usual")
print(f"{odd.sum()} of {len(beats)} beats are odd")

# %%
# Train on the first four minutes, test on the last
# -------------------------------------------------

train = peaks < 0.8 * len(signal)
cpc = CPCTransformer(random_state=0, n_jobs=1).fit(beats[train])
classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
classifier.fit(cpc.transform(beats[train]), kind[train])
accuracy = classifier.score(cpc.transform(beats[~train]), kind[~train])
print(f"accuracy in the last minute: {accuracy:.2f}")

# %%
# One odd beat, and all of them
# -----------------------------
# Red parts support "odd"; our rule looks at the grey band. The classifier uses the
# trough in this band, and even more the peak itself, which is broad in odd beats. The
# mean over the odd beats of the last minute confirms it.

rows = np.flatnonzero(~train & odd)
displays = []
for sample in rows:
    displays.append(
        OcclusionDisplay.from_estimator(
            cpc, classifier, beats[[sample]], target="odd", window=6
        )
    )
    plt.close(displays[-1].figure_)
mean = OcclusionDisplay(
    values=np.mean([display.values for display in displays], 0),
    importance=np.mean([display.importance for display in displays], 0),
    window=6,
    target="odd",
    sampling_rate=RATE,
)
one = displays[0]
one.sampling_rate = RATE

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
titles = ("One odd beat", f"Mean of {len(rows)} odd beats")
for display, ax, title in zip((one, mean), axes, titles, strict=True):
    display.plot(ax=ax)
    band = (after.start / RATE, after.stop / RATE)
    display.signal_ax_.axvspan(*band, color="0.85", zorder=0)
    display.signal_ax_.set(ylabel="ECG, mV", title=title)
    display.importance_ax_.set(yticks=[], ylabel="")
plt.show()
