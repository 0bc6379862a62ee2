"""One seed, one result; nothing global is read or left changed."""

import hashlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer

SCRIPT = """
import hashlib
import numpy as np
import torch
torch.set_num_threads(1)
from sklearn_cpc import CPCTransformer
X = np.random.default_rng(0).normal(size=(20, 50, 2)).cumsum(1)
cpc = CPCTransformer(latent_size=8, max_epochs=3, early_stopping=True, random_state=7)
print(hashlib.sha256(cpc.fit_transform(X).tobytes()).hexdigest())
"""


def data(seed=0):
    return np.random.default_rng(seed).normal(size=(20, 50, 2)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "max_epochs": 3, "random_state": 7} | options
    return CPCTransformer(**options)


def global_states():
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    return random.getstate(), numpy_state, torch.get_rng_state()


def test_two_fits_are_bitwise_equal_here_and_in_other_processes():
    features = [cpc(early_stopping=True).fit_transform(data()) for _ in range(2)]
    hashes = {hashlib.sha256(f.tobytes()).hexdigest() for f in features}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout.strip())
    assert len(hashes) == 1


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

    cpc(n_jobs=2, callbacks=[Look()]).fit(data())
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
