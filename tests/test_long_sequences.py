"""Long sequences go through a model in pieces: the same features, little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.contexts import CONTEXTS
from sklearn_cpc.nn.pooling import POOLINGS, UNWEIGHTED, RunningPooling
from sklearn_cpc.training import inference

RNG = np.random.default_rng(0)
LENGTHS = (700, 333, 1, 64, 2000, 65, 1500)
X = [RNG.normal(size=(n, 2)).cumsum(0) for n in LENGTHS]
METHODS = ("transform_steps", "score", "contrastive_accuracy")


def fit(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 0} | options
    return CPCTransformer(random_state=0, **options).fit(X)


def in_pieces(monkeypatch, size):
    """Let sequences of more steps than `size` go through the models in pieces."""
    monkeypatch.setattr(inference, "PIECE", size)


@pytest.mark.parametrize(
    ("context", "features", "size"),
    [
        *((context, "all", 333) for context in CONTEXTS),
        ("gru", "all", 7),
        ("gru", "context", 64),
        ("gru", "latent", 64),
        ("gru", "both", 1000),
    ],
)
def test_pieces_give_the_features_of_the_whole(monkeypatch, context, features, size):
    cpc = fit(context=context, features=features, pooling=UNWEIGHTED)
    whole = cpc.transform(X)
    in_pieces(monkeypatch, size)
    np.testing.assert_allclose(cpc.transform(X), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_steps_and_scores_of_pieces_are_those_of_the_whole(monkeypatch, method):
    cpc = fit()
    whole = getattr(cpc, method)(X)
    in_pieces(monkeypatch, 100)
    parts = getattr(cpc, method)(X)
    if method != "transform_steps":
        whole, parts = [whole], [parts]
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_pieces_of_waveforms_whose_strides_do_not_divide_them(monkeypatch):
    waves = RNG.normal(size=(3, 5000))
    cpc = CPCTransformer(
        encoder="audio", latent_size=8, context_size=8, max_epochs=0, random_state=0
    ).fit(waves)
    whole = cpc.transform(waves)
    in_pieces(monkeypatch, 999)
    np.testing.assert_allclose(cpc.transform(waves), whole, rtol=0, atol=1e-5)


def shapes_seen(monkeypatch, cpc):
    """Return a list that the shapes of the encoder's inputs are appended to."""
    seen = []
    advance_layers = type(cpc.net_.module_.encoder).advance_layers

    def note(self, x, state=None):
        seen.append(tuple(x.shape))
        return advance_layers(self, x, state)

    monkeypatch.setattr(type(cpc.net_.module_.encoder), "advance_layers", note)
    return seen


def test_no_piece_is_longer(monkeypatch):
    cpc = fit()
    seen = shapes_seen(monkeypatch, cpc)
    in_pieces(monkeypatch, 100)
    cpc.transform(X)
    assert max(n_steps for _, n_steps, _ in seen) == 100


@pytest.mark.parametrize(
    ("n_channels", "n_rows"), [(1, inference.MIN_ROWS), (4_096, 2)]
)
def test_few_sequences_are_repeated_unless_they_are_wide(
    monkeypatch, n_channels, n_rows
):
    wide = np.random.default_rng(0).normal(size=(2, 200, n_channels))
    cpc = CPCTransformer(latent_size=4, context_size=4, max_epochs=0).fit(wide)
    seen = shapes_seen(monkeypatch, cpc)
    assert len(cpc.transform(wide)) == 2
    assert seen == [(n_rows, 200, n_channels)]


def test_a_module_that_cannot_go_on_takes_sequences_whole(monkeypatch):
    cpc = fit(encoder=nn.Sequential(nn.Linear(2, 8), nn.ReLU()))
    whole = cpc.transform(X)
    in_pieces(monkeypatch, 100)
    np.testing.assert_array_equal(cpc.transform(X), whole)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_running_pooling_is_the_pooling_of_the_whole(size):
    h = torch.randn(3, 16, 4, generator=torch.Generator().manual_seed(0)) + 3
    mask = (torch.arange(16) < torch.tensor([16, 1, 9])[:, None])[..., None]
    weights = torch.rand(3, 16, 1, generator=torch.Generator().manual_seed(1)) * mask
    pool = RunningPooling(list(POOLINGS))
    for part in zip(*(x.split(size, 1) for x in (h, mask, weights)), strict=True):
        pool.push(*part)
    for name, pooling in POOLINGS.items():
        expected = pooling(h, weights if pooling.weighted else mask)
        torch.testing.assert_close(pool.value(name), expected)


PEAK = """
import sys
from pathlib import Path
import numpy as np, torch
from sklearn_cpc import CPCTransformer

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
n_steps = int(sys.argv[1])
cpc = CPCTransformer(max_epochs=0, latent_size=16, context_size=16, scaling=None)
cpc.fit(np.random.default_rng(0).normal(size=(8, 1024, 1)))
cpc.transform(np.zeros((1, 2**15, 1)))
X = np.zeros((1, n_steps, 1), np.float32)
before = peak()
cpc.transform(X)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_length():
    """Taken whole, a million steps need over 250 MiB."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(2**20)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(run.stdout) < 100 * 2**20
