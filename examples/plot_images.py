"""
=======================================
Images: features learned without labels
=======================================

The model predicts one part of an image from another, without labels. Then we look at
which images have similar features, and at the accuracy with few labels. Real
handwritten digits, 8 x 8 pixels (scikit-learn).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCImageTransformer

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images, digits.target, test_size=500, stratify=digits.target, random_state=0
)
print(f"{len(X)} images of {X[0].shape} pixels to learn from")

# %%
# Train without labels
# --------------------
# An image is a grid of patches. From the patches above, the model predicts the patches
# below, and the same upwards and from both sides. There are two controls: the pixels,
# and the same model without training.

cpc = CPCImageTransformer(random_state=0, n_jobs=1).fit(X)
untrained = CPCImageTransformer(random_state=0, n_jobs=1, max_epochs=0).fit(X)
print(f"{cpc.grid_shape_} patches of {cpc.patch_size_} pixels")
print(f"loss by epoch: {np.round(cpc.loss_curve_, 2)}")

features = {
    "raw pixels": (X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)),
    "untrained": (untrained.transform(X), untrained.transform(X_test)),
    "CPC": (cpc.transform(X), cpc.transform(X_test)),
}

# %%
# Few labels
# ----------


def classifier():
    """Return the classifier that is trained on the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


n_labels = [1, 2, 5, 10, 20]
n_draws = 10
accuracy = {name: np.zeros((len(n_labels), n_draws)) for name in features}
for name, (train, test) in features.items():
    for i, n in enumerate(n_labels):
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            rows = np.concatenate(
                [
                    rng.choice(np.flatnonzero(y == c), n, replace=False)
                    for c in range(10)
                ]
            )
            model = classifier().fit(train[rows], y[rows])
            accuracy[name][i, draw] = model.score(test, y_test)

print("labels per class", *(f"{n:6d}" for n in n_labels))
for name, values in accuracy.items():
    print(f"{name:16s}", *(f"{value:6.3f}" for value in values.mean(1)))

# %%
# Similar images
# --------------
# The nearest training images of a test image, by the cosine distance of scaled
# features. The proportion of the six nearest with the same digit, over all test images:

n_neighbors = 6
neighbors = {}
for name, (train, test) in features.items():
    scaler = StandardScaler().fit(train)
    search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine")
    search.fit(scaler.transform(train))
    neighbors[name] = search.kneighbors(scaler.transform(test), return_distance=False)
    print(f"{name:16s} {(y[neighbors[name]] == y_test[:, None]).mean():.3f}")

# %%
# Left and middle: the four test images on which the pixels do worst. This choice is
# unfair to the pixels; the numbers above count all images. A red frame marks another
# digit.

right_by_pixels = (y[neighbors["raw pixels"]] == y_test[:, None]).sum(1)
queries = np.argsort(right_by_pixels, kind="stable")[:4]

fig = plt.figure(figsize=(11, 4.2), layout="constrained")
left, middle, right = fig.subfigures(1, 3, width_ratios=[1, 1, 1.1])
for part, name in ((left, "raw pixels"), (middle, "CPC")):
    part.suptitle(f"nearest by {name}", fontsize="medium")
    axes = part.subplots(len(queries), 1 + n_neighbors)
    for row, query in zip(axes, queries, strict=True):
        row[0].imshow(X_test[query], cmap="gray_r")
        for ax, i in zip(row[1:], neighbors[name][query], strict=True):
            ax.imshow(X[i], cmap="gray_r")
            if y[i] != y_test[query]:
                ax.spines[:].set(color="tab:red", linewidth=2)
        for ax in row:
            ax.set(xticks=[], yticks=[])
        row[0].spines[:].set(color="tab:blue", linewidth=2)
    axes[0, 0].set_title("query", fontsize="small", color="tab:blue")

ax = right.subplots()
for name, values in accuracy.items():
    mean, deviation = values.mean(1), values.std(1)
    (line,) = ax.plot(n_labels, mean, marker="o", label=name)
    ax.fill_between(
        n_labels, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15
    )
ax.set(
    xscale="log",
    xlabel="labelled images per class",
    ylabel="test accuracy",
    title=f"few labels, mean ± std of {n_draws} draws",
)
ax.title.set_fontsize("medium")
ax.set_xticks(n_labels, [str(n) for n in n_labels])
ax.minorticks_off()
ax.legend(title="features")
plt.show()
