"""Does a pre-trained start pay for sensors? One channel at a time, eight real sets.

    python benchmarks/bench_sensors.py

Needs the extra `benchmark`. A model of one channel is trained without labels on 4,000
synthetic series of 512 steps, and a second one on these and on 4,000 channels of the
activities of `real_recordings.py`. The synthetic series are draws of Gaussian processes
whose kernels are random sums and products of a bank, as in A. F. Ansari et al. (2024),
Chronos, arXiv:2403.07815, section 4.2. Such a model takes any number of channels, one
after the other; here their features stand side by side.

Columns, all with StandardScaler and LogisticRegression, defaults, on the sets of
`bench_classification.py`, 1 and 5 labels of each class, three seeds of five draws each:

- untrained: `CPCTransformer(max_epochs=0)`, whose fixed kernels are scaled to the set;
- CPC: trained on the set;
- synthetic; synthetic and sensors: the pre-trained models, not trained further;
- untrained + contexts: kernels scaled to the set, beside the contexts of the second.

Results go into benchmarks/results/sensors.json, from which the table is written.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import real_recordings
import torch
from bench_classification import SETS, load
from few_labels import accuracies, cell, logistic
from measuring import save, table
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    RationalQuadratic,
    WhiteKernel,
)

from sklearn_cpc import CPCTransformer

N_SERIES, N_STEPS = 4000, 512
N_KERNELS = 5  # at most
JITTER = 1e-6
N_LABELS, N_DRAWS, SEEDS = (1, 5), 5, 3
# On times from 0 to 1.
BANK = (
    *(RBF(length) for length in (0.01, 0.03, 0.1, 1.0)),
    *(ExpSineSquared(1.0, period) for period in (0.02, 0.05, 0.1, 0.25, 0.5)),
    *(RationalQuadratic(0.1, mixture) for mixture in (0.1, 1.0, 10.0)),
    *(DotProduct(level) for level in (0.0, 1.0)),
    *(WhiteKernel(variance) for variance in (0.01, 0.1, 1.0)),
    ConstantKernel(),
)


# ---- what the models are trained on


def synthetic(n_series, rng):
    """Return draws of Gaussian processes, (n, T, 1)."""
    times = np.linspace(0, 1, N_STEPS)[:, None]
    bank = [kernel(times) for kernel in BANK]
    series = []
    for _ in range(n_series):
        chosen = rng.integers(len(bank), size=rng.integers(1, N_KERNELS + 1))
        covariance, *others = (bank[i] for i in chosen)
        for other in others:
            combine = np.add if rng.random() < 0.5 else np.multiply
            covariance = combine(covariance, other)
        level = JITTER * max(1.0, np.trace(covariance) / N_STEPS)
        root = np.linalg.cholesky(covariance + level * np.eye(N_STEPS))
        series.append(root @ rng.standard_normal(N_STEPS))
    return standardised(np.array(series))[..., None]


def sensors(n_series, rng):
    """Return single channels of activities, (n, T, 1)."""
    recordings, steps, _ = real_recordings.activities()
    windows, *_ = real_recordings.windows(recordings, steps, N_STEPS)
    channels = np.asarray(windows).transpose(0, 2, 1).reshape(-1, N_STEPS)
    return standardised(rng.permutation(channels)[:n_series])[..., None]


def standardised(series):
    """Return series of mean 0 and deviation 1."""
    centred = series - series.mean(1, keepdims=True)
    return centred / np.maximum(centred.std(1, keepdims=True), 1e-6)


# ---- representations: (training series, seed) -> transform


def one_by_one(X):
    """Return every channel as a series."""
    return [x[:, [i]] for x in X for i in range(x.shape[1])]


def pretrained(path, **options):
    """Return the representation of a model of one channel."""

    def make(X, seed):
        values = np.concatenate(X)
        mean, std = values.mean(0), np.maximum(values.std(0), 1e-6)
        model = CPCTransformer.from_pretrained(path, **options)

        def transform(X):
            channels = one_by_one([(x - mean) / std for x in X])
            return model.transform(channels).reshape(len(X), -1)

        return transform

    return make


def of_the_set(**options):
    """Return the representation of a model that sees the set alone."""
    return lambda X, seed: CPCTransformer(random_state=seed, **options).fit(X).transform


def beside(*makes):
    """Return representations side by side."""

    def make(X, seed):
        transforms = [each(X, seed) for each in makes]
        return lambda X: np.hstack([transform(X) for transform in transforms])

    return make


def main():
    """Train both models, judge them, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=N_SERIES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    drawn = synthetic(options.series, rng)
    both = np.concatenate([drawn, sensors(options.series, rng)])
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.safetensors" for i in range(2)]
        for path, X in zip(paths, (drawn, both), strict=True):
            model = CPCTransformer(random_state=0).fit(X)
            model.save(path)
            print(f"{len(X)} series, {model.n_epochs_} epochs", flush=True)
        untrained = of_the_set(max_epochs=0)
        methods = {
            "untrained": untrained,
            "CPC": of_the_set(),
            "synthetic": pretrained(paths[0]),
            "synthetic and sensors": pretrained(paths[1]),
            "untrained + contexts": beside(
                untrained, pretrained(paths[1], features="context")
            ),
        }
        results = judged(methods, options.seeds)
    text = tables(results, list(methods))
    print(text)
    if options.series == N_SERIES:
        save("sensors", results, text, "aeon")


def judged(methods, seeds):
    """Return the accuracies of methods by set, seed and number of labels."""
    results = {}
    for name in SETS:
        (X, y), (X_test, y_test) = load(name, "train"), load(name, "test")
        classes = np.unique(y)
        y, y_test = (np.searchsorted(classes, labels) for labels in (y, y_test))
        for method, make in methods.items():
            for seed in range(seeds):
                transform = make(X, seed)
                parts = (transform(X), y), (transform(X_test), y_test)
                draws = range(seed * N_DRAWS, (seed + 1) * N_DRAWS)
                row = accuracies(logistic, seed, *parts, N_LABELS, draws)
                results.setdefault(name, {}).setdefault(method, []).append(row)
            means = np.mean(results[name][method], 0)
            print(f"{name:22s} {method:22s} {means}", flush=True)
    return results


def tables(results, methods):
    """Return the table: a row for each set, cells for 1 and 5 labels."""
    means = np.array(
        [[np.mean(of_set[m], 0) for m in methods] for of_set in results.values()]
    )
    rows = [
        [name, *(f"{cell(one)} / {cell(five)}" for one, five in of_set)]
        for name, of_set in zip(
            [*results, "**mean**"], [*means, means.mean(0)], strict=True
        )
    ]
    return table(["data set, 1 / 5 labels a class", *methods], rows)


if __name__ == "__main__":
    main()
