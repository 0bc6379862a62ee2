"""
====================================================
Exercises on a watch: few labels, people never seen
====================================================

Ten people do seven exercises for the shoulder and wear a watch with six sensors. Many
windows of its signal are easily recorded, and few are labelled. What counts is the
accuracy on people of whom no label, and no window, was seen. The data come with the
package `seglearn <https://pypi.org/project/seglearn/>`_ (D. Burns et al. 2018,
`arXiv:1802.01489 <https://arxiv.org/abs/1802.01489>`_).
"""

import matplotlib.pyplot as plt
import numpy as np
from seglearn.datasets import load_watch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.preprocessing import sliding_windows

watch = load_watch()
signals = [signal[::2] for signal in watch["X"]]  # 25 of the 50 steps a second
windows = sliding_windows(
    signals, 4.0, sampling_rate=25, y=watch["y"], groups=watch["subject"]
)
X = np.array(windows.X, np.float32)
exercise, person = windows.y, windows.groups
known = person <= 6
print(
    f"{known.sum()} windows of six people, {(~known).sum()} of four others: {X.shape}"
)

# %%
# Train without labels, on the six
# --------------------------------
# People differ, and that is of no interest here. So we pass the people as groups: then
# a window has to be told from others of the same person. Two controls go with it: the
# same network without training, and four simple statistics of each channel.

cpc = CPCTransformer(random_state=0, n_jobs=1)
cpc.fit(X[known], groups=person[known])
untrained = CPCTransformer(max_epochs=0, random_state=0, n_jobs=1).fit(X[known])
features = {
    "statistics": np.hstack([X.mean(1), X.std(1), X.min(1), X.max(1)]),
    "untrained": untrained.transform(X),
    "CPC": cpc.transform(X),
}

# %%
# A few labels, and people never seen
# -----------------------------------
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
of_class = [np.flatnonzero(known & (exercise == c)) for c in range(7)]
n_labels, n_draws = [1, 2, 5, 10, 20], 10
accuracy = {name: np.zeros((len(n_labels), n_draws)) for name in features}
folds = {}
random_folds = StratifiedKFold(3, shuffle=True, random_state=0)
for name, Z in features.items():
    for i, n in enumerate(n_labels):
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            few = np.concatenate([rng.choice(c, n, replace=False) for c in of_class])
            classifier.fit(Z[few], exercise[few])
            accuracy[name][i, draw] = classifier.score(Z[~known], exercise[~known])
    folds[name] = [
        cross_val_score(classifier, Z[known], exercise[known], cv=cv, groups=group)
        for cv, group in ((random_folds, None), (GroupKFold(3), person[known]))
    ]

print("labels per exercise", *(f"{n:6d}" for n in n_labels))
for name, values in accuracy.items():
    print(f"{name:19s}", *(f"{value:6.3f}" for value in values.mean(1)))

# %%
# Two lessons
# -----------
# Left: with only 656 windows to train on, training gains about a point from five labels
# on, and with one label it loses one.
# Exercises differ by how the arm is held, which simple statistics see nearly as well as
# a network does. That is why controls belong into every table. Right: windows of one
# person are alike. Random folds test on people who are known already, and promise what
# ``GroupKFold``, which keeps each person together, does not find.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, values in accuracy.items():
    mean, spread = values.mean(1), values.std(1)
    (line,) = left.plot(n_labels, mean, marker="o", label=name)
    left.fill_between(
        n_labels, mean - spread, mean + spread, color=line.get_color(), alpha=0.15
    )
left.set(
    xscale="log",
    xlabel="labelled windows per exercise",
    ylabel="accuracy",
    title=f"People never seen, mean and deviation of {n_draws} draws",
)
left.set_xticks(n_labels, [str(n) for n in n_labels])
left.minorticks_off()
left.legend(title="features")
place = np.arange(len(folds))
for shift, kind, i in ((-0.2, "random folds", 0), (0.2, "GroupKFold", 1)):
    means = [scores[i].mean() for scores in folds.values()]
    bars = right.bar(place + shift, means, 0.38, label=kind)
    right.bar_label(bars, fmt="%.2f", fontsize="small")
right.set_xticks(place, folds)
right.set(ylabel="accuracy, 3 folds", title="All labels of the six", ylim=(0, 1.15))
right.legend(loc="upper center", ncols=2)
plt.show()
