"""Seconds of the default fit, beside TS2Vec with its defaults, on eight real data sets.

    python benchmarks/bench_ts2vec.py CLONE [--iterations 3]

Needs the extra `benchmark`; CLONE is a clone of https://github.com/zhihanyue/ts2vec
(MIT licence), the authors' code. It makes 200 iterations, or 600 if there are more than
100,000 values. Only some of them are run, after one to warm up, and their time is
multiplied: each iteration costs the same. CPC fits as a whole. Both take the sets
of `bench_classification.py`; TS2Vec takes them scaled, with NaN behind short sequences.
Both in turn, one thread, seconds of its CPU time. This compares time only.

Results go into benchmarks/results/ts2vec.json, from which the table is written.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import torch
from bench_classification import SETS, load
from measuring import save, table
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer

MANY = 100_000  # values, from which on TS2Vec makes 600 iterations


def seconds_of(function):
    """Return the CPU time of a call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def array_of(X):
    """Return scaled sequences, (n, T, C), with NaN behind short ones."""
    scaler = StandardScaler().fit(np.concatenate(X))
    array = np.full((len(X), max(map(len, X)), X[0].shape[1]), np.nan, np.float32)
    for row, x in zip(array, X, strict=True):
        row[: len(x)] = scaler.transform(x)
    return array


def ts2vec_seconds(X, n_iterations):
    """Return the CPU time that a default fit of TS2Vec takes, from a part of it."""
    from ts2vec import TS2Vec

    array = array_of(X)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the only way to seed it
    model = TS2Vec(array.shape[2], device="cpu")
    model.fit(array, n_iters=1)
    part = seconds_of(lambda: model.fit(array, n_iters=1 + n_iterations))
    return part / n_iterations * (200 if array.size <= MANY else 600)


def tables(results):
    """Return the table, with medians: one set has long series."""
    middle = {
        n: np.median([of[n] for of in results.values()]) for n in ("CPC", "TS2Vec")
    }
    rows = [
        [name, f"{ours:.1f}", f"{theirs:.0f}", f"{theirs / ours:.0f}"]
        for name, of in {**results, "**median**": middle}.items()
        for ours, theirs in [of.values()]
    ]
    return table(["default fit, seconds", "CPC", "TS2Vec", "ratio"], rows)


def main():
    """Time both on every set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone")
    parser.add_argument("--iterations", type=int, default=3)
    options = parser.parse_args()
    sys.path.insert(0, options.clone)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = {}
    for name in SETS:
        X, _ = load(name, "train")
        CPCTransformer(max_epochs=1, random_state=0).fit(X)  # to warm up
        ours = seconds_of(lambda X=X: CPCTransformer(random_state=0).fit(X))
        theirs = ts2vec_seconds(X, options.iterations)
        results[name] = {"CPC": ours, "TS2Vec": theirs}
        print(name, results[name], flush=True)
    text = tables(results)
    save("ts2vec", results, text, "aeon")
    print(text)


if __name__ == "__main__":
    main()
