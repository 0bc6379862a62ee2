"""Accuracy on the eight real data sets that come with aeon, official splits.

    python benchmarks/bench_classification.py [method ...]

Needs the extra `benchmark`. Every representation goes through StandardScaler and
LogisticRegression, but for MiniRocket and for Hydra with MultiRocket, which bring their
own ridge classifiers. CPC and the untrained model (same architecture, same pooling,
max_epochs=0) run with their defaults, the same for all sets. Where a method needs equal
lengths, sequences are padded with zeros. One thread, seconds of its CPU time, five
seeds for what is random.

Results of the methods run are merged into benchmarks/results/classification.json,
from which the Markdown tables are written.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from aeon import datasets
from measuring import machine
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer

RESULTS = Path(__file__).parent / "results" / "classification.json"
SEEDS = range(5)
# The name in the table, and the loader of aeon.
SETS = {
    "ACSF1": "load_acsf1",
    "ArrowHead": "load_arrow_head",
    "BasicMotions": "load_basic_motions",
    "GunPoint": "load_gunpoint",
    "ItalyPowerDemand": "load_italy_power_demand",
    "JapaneseVowels": "load_japanese_vowels",
    "OSULeaf": "load_osuleaf",
    "PickupGestureWiimoteZ": "load_pickup_gesture_wiimoteZ",
}


def load(name, split):
    """Return a list of arrays (length, channels) and the labels."""
    X, y = getattr(datasets, SETS[name])(split=split)
    return [np.ascontiguousarray(np.asarray(x).T) for x in X], y


def padded(X, n_steps):
    """Return an array (n, n_steps, channels), zeros at the end of short ones."""
    array = np.zeros((len(X), n_steps, X[0].shape[1]))
    for row, x in zip(array, X, strict=True):
        row[: len(x)] = x[:n_steps]
    return array


class Padded:
    """What follows, on sequences padded to the longest of the training set."""

    def __init__(self, then=None):
        self.then = then

    def fit(self, X):
        """Note the longest length and fit what follows."""
        self.n_steps = max(map(len, X))
        if self.then is not None:
            self.then.fit(self._rows(X))
        return self

    def transform(self, X):
        """Return the rows, or what the transformer makes of them."""
        rows = self._rows(X)
        return rows if self.then is None else self.then.transform(rows)

    def _rows(self, X):
        return padded(X, self.n_steps).reshape(len(X), -1)


class Catch22:
    """The 22 canonical features of every channel."""

    def fit(self, X):
        """Do nothing."""
        return self

    def transform(self, X):
        """Return the features; those that are not defined are 0."""
        from aeon.transformations.collection.feature_based import Catch22

        features = [Catch22().fit_transform(x.T[None])[0] for x in X]
        return np.nan_to_num(np.array(features), posinf=0, neginf=0)


class CEBRA:
    """Time-contrastive CEBRA of all steps, then mean, maximum and deviation."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X):
        """Train on the training sequences, one after the other."""
        import cebra

        torch.manual_seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 - the only way to seed it
        self.model = cebra.CEBRA(
            model_architecture="offset10-model",
            conditional="time",
            batch_size=256,
            output_dimension=32,
            max_iterations=1000,
            temperature_mode="auto",
            time_offsets=5,
            device="cpu",
            verbose=False,
        )
        self.scaler = StandardScaler().fit(np.concatenate(X))
        self.model.fit(np.float32(self.scaler.transform(np.concatenate(X))))
        return self

    def transform(self, X):
        """Return the pooled embedding of each sequence."""
        rows = []
        for x in X:
            # It takes no fewer than 10 steps: the last value goes on.
            x = np.pad(x, ((0, max(0, 10 - len(x))), (0, 0)), mode="edge")
            h = self.model.transform(np.float32(self.scaler.transform(x)))
            rows.append(np.concatenate([h.mean(0), h.max(0), h.std(0)]))
        return np.array(rows)


def linear_probe(representation, train, test):
    """Return the accuracy and the seconds of fit and of transforming both parts."""
    start = time.process_time()
    representation.fit(train[0])
    fitted = time.process_time()
    Z, Z_test = (representation.transform(X) for X, _ in (train, test))
    done = time.process_time()
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracy = probe.fit(Z, train[1]).score(Z_test, test[1])
    return accuracy, fitted - start, done - fitted


def of_aeon(name):
    """Return a method: a classifier of aeon."""

    def method(seed, train, test):
        from aeon.classification import convolution_based

        n_steps = max(max(map(len, train[0])), 9)  # shorter ones it does not take
        X, X_test = (padded(X, n_steps).transpose(0, 2, 1) for X, _ in (train, test))
        model = getattr(convolution_based, name)(random_state=seed, n_jobs=1)
        start = time.process_time()
        model.fit(X, train[1])
        fitted = time.process_time()
        accuracy = model.score(X_test, test[1])
        return accuracy, fitted - start, time.process_time() - fitted

    return method


def probe_of(make):
    """Return a method that fits what `make(seed)` gives."""
    return lambda seed, train, test: linear_probe(make(seed), train, test)


# name: (function of a seed and both parts, seeds)
METHODS = {
    "raw values": (probe_of(lambda seed: Padded()), SEEDS[:1]),
    "PCA": (probe_of(lambda seed: Padded(PCA(0.99, svd_solver="full"))), SEEDS[:1]),
    "catch22": (probe_of(lambda seed: Catch22()), SEEDS[:1]),
    "CEBRA": (probe_of(CEBRA), SEEDS),
    "untrained": (
        probe_of(lambda seed: CPCTransformer(max_epochs=0, random_state=seed)),
        SEEDS,
    ),
    "CPC": (probe_of(lambda seed: CPCTransformer(random_state=seed)), SEEDS),
    "MiniRocket": (of_aeon("MiniRocketClassifier"), SEEDS),
    "Hydra + MultiRocket": (of_aeon("MultiRocketHydraClassifier"), SEEDS),
}


def run(name):
    """Return, for each set, a list of (accuracy, fit seconds, transform seconds)."""
    function, seeds = METHODS[name]
    results = {}
    for data in SETS:
        parts = load(data, "train"), load(data, "test")
        results[data] = [function(seed, *parts) for seed in seeds]
        accuracies = np.array(results[data])[:, 0]
        mean, deviation = accuracies.mean(), accuracies.std()
        print(f"{name:12s} {data:22s} {mean:.3f} {deviation:.3f}", flush=True)
    return results


def accuracy_table(results):
    """Return mean and deviation by set, means over sets, ranks, wins and losses."""
    names = [name for name in METHODS if name in results]
    means = np.array(
        [[np.mean(results[n][data], axis=0)[0] for n in names] for data in SETS]
    )
    deviations = np.array(
        [[np.std(results[n][data], axis=0)[0] for n in names] for data in SETS]
    )
    lines = [f"| data set | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for data, mean, deviation in zip(SETS, means, deviations, strict=True):
        cells = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True)]
        lines.append(f"| {data} | {' | '.join(cells)} |")
    cells = [f"{m:.3f}" for m in means.mean(0)]
    lines.append(f"| **mean** | {' | '.join(cells)} |")
    ranks = rankdata(-means.round(4), axis=1).mean(0)
    lines.append(f"| mean rank | {' | '.join(f'{r:.1f}' for r in ranks)} |")
    if "CPC" in names:
        margin = means[:, [names.index("CPC")]] - means
        counts = [
            f"{(m > 0.0005).sum()}/{(abs(m) <= 0.0005).sum()}/{(m < -0.0005).sum()}"
            for m in margin.T
        ]
        counts[names.index("CPC")] = "–"  # noqa: RUF001
        lines.append(f"| CPC wins/ties/losses | {' | '.join(counts)} |")
    for i, label in ((1, "fit"), (2, "transform")):
        seconds = [
            np.mean([np.mean(results[n][data], axis=0)[i] for data in SETS])
            for n in names
        ]
        cells = [f"{s:.1f}" for s in seconds]
        lines.append(f"| {label}, seconds | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    """Run the methods named, all by default, and write the results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    saved = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results = saved.get("results", {})
    for name in sys.argv[1:] or METHODS:
        results[name] = run(name)
        RESULTS.parent.mkdir(exist_ok=True)
        record = {**machine("aeon", "cebra"), "results": results}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".md").write_text(accuracy_table(results), "utf-8")
    print(accuracy_table(results))


if __name__ == "__main__":
    main()
