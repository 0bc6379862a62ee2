"""One seed, one result; nothing global is read or left changed."""

import os
import random
import subprocess
import sys
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer


def data(seed=0):
    return np.random.default_rng(seed).normal(size=(20, 50, 2)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 3} | options
    return CPCTransformer(**{"random_state": 7} | options)


def global_states():
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    return random.getstate(), numpy_state, torch.get_rng_state()


def test_seeds_differ():
    one, other = (cpc(random_state=seed).fit_transform(data()) for seed in (0, 1))
    assert not np.allclose(one, other)


def test_none_differs_every_time_and_a_random_state_is_advanced():
    for random_state in (None, np.random.RandomState(0)):
        estimator = cpc(random_state=random_state, max_epochs=0)
        one, other = (estimator.fit_transform(data()) for _ in range(2))
        assert not np.allclose(one, other)
    one, other = (
        cpc(random_state=np.random.RandomState(3), max_epochs=0).fit_transform(data())
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("random_state", [7, None])
def test_global_generators_are_neither_read_nor_advanced(random_state):
    X = data()
    before = global_states()
    fitted = cpc(random_state=random_state, early_stopping=True).fit(X)
    fitted.transform(X)
    fitted.score(X)
    after = global_states()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_threads_are_restored():
    before = torch.get_num_threads()
    seen = []

    class Look(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.append(torch.get_num_threads())

    cpc(n_jobs=2, max_epochs=1, callbacks=[Look()]).fit(data())
    assert set(seen) == {2}
    assert torch.get_num_threads() == before


def test_fits_in_parallel_threads_equal_fits_in_a_row():
    def fit_transform(seed):
        return cpc(random_state=seed).fit_transform(data(seed))

    expected = [fit_transform(seed) for seed in range(4)]
    results = Parallel(n_jobs=4, backend="threading")(
        delayed(fit_transform)(seed) for seed in range(4)
    )
    for result, known in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, known)


def test_one_fitted_model_serves_many_threads():
    X = data()
    fitted = cpc().fit(X)
    expected = fitted.transform(X)
    results = Parallel(n_jobs=4, backend="threading")(
        delayed(fitted.transform)(X) for _ in range(8)
    )
    for result in results:
        np.testing.assert_array_equal(result, expected)


def objects(arrays):
    array = np.empty(len(arrays), dtype=object)
    array[:] = arrays
    return array


def memory_map(array, folder):
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


# The same values in other containers, orders and types, exact in float32.
CONTAINERS = {
    "list": lambda X, folder: list(X),
    "object array": lambda X, folder: objects(list(X)),
    "tuple": lambda X, folder: tuple(X),
    "frame of arrays": lambda X, folder: pd.DataFrame(
        {i: [*X[:, :, i]] for i in range(X.shape[2])}
    ),
    "memory map": memory_map,
    "float32": lambda X, folder: X.astype(np.float32),
    "other bytes": lambda X, folder: X.astype(">f8"),
    "Fortran order": lambda X, folder: np.asfortranarray(X),
    "a view": lambda X, folder: np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": lambda X, folder: np.frombuffer(X.tobytes()).reshape(X.shape),
}
TABLES = {
    "frame": lambda X, folder: pd.DataFrame(X),
    "frame of polars": lambda X, folder: pl.DataFrame(X),
    "nested lists": lambda X, folder: X.tolist(),
    "1-D arrays": lambda X, folder: [*X],
    "integers": lambda X, folder: X.astype(int),
    "float16": lambda X, folder: X.astype(np.float16),
}


# All are read alike; what differs by scaling are the types that sums are taken in.
CASES = [
    *((name, "channel") for name in (*CONTAINERS, *TABLES)),
    *(
        (name, scaling)
        for name in ("frame of arrays", "float32", "other bytes", "float16")
        for scaling in ("sample", None)
    ),
]


@cache
def of_arrays(scaling, table):
    """Features and scores of the values as a plain array, float64."""
    X = data().round().astype(np.float64)
    X = X[:, :, 0] if table else X
    fitted = cpc(scaling=scaling, early_stopping=True, max_epochs=1).fit(X)
    return X, fitted.transform(X), fitted.score_samples(X)


@pytest.mark.parametrize(("name", "scaling"), CASES)
def test_the_container_and_the_type_do_not_matter(name, scaling, tmp_path):
    X, features, scores = of_arrays(scaling, name in TABLES)
    other = (CONTAINERS | TABLES)[name](X, tmp_path)
    two = cpc(scaling=scaling, early_stopping=True, max_epochs=1).fit(other)
    np.testing.assert_array_equal(two.transform(other), features)
    np.testing.assert_array_equal(two.score_samples(other), scores)


def test_the_order_of_keyword_arguments_does_not_matter():
    options = cpc().get_params()
    reverse = CPCTransformer(**dict(reversed(options.items())))
    np.testing.assert_array_equal(
        reverse.fit_transform(data()), cpc().fit_transform(data())
    )


BACKENDS = """
import sys
import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn_cpc import CPCTransformer
torch.set_num_threads(1)
X = np.random.default_rng(0).normal(size=(20, 50, 2)).cumsum(1)
cpc = CPCTransformer(latent_size=8, context_size=8, max_epochs=3, random_state=7)
for backend in ("loky", "threading", "multiprocessing", "sequential"):
    for features in Parallel(n_jobs=2, backend=backend)(
        delayed(cpc.fit_transform)(X) for _ in range(2)
    ):
        sys.stdout.write(features.tobytes().hex() + "\\n")
"""


@pytest.mark.slow
def test_the_backend_of_joblib_does_not_matter():
    done = subprocess.run(
        [sys.executable, "-c", BACKENDS],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    lines = done.stdout.split()
    assert len(lines) == 8
    assert set(lines) == {cpc().fit_transform(data()).tobytes().hex()}
