"""Bars of long work: complete, with the time that is left, and never worth an error."""

import io
import sys

import numpy as np
import pytest

from sklearn_cpc import CPCImageTransformer, CPCTransformer
from sklearn_cpc.training import inference
from sklearn_cpc.training.progress import Progress

RNG = np.random.default_rng(0)
X = [RNG.normal(size=n) for n in (40, 90, 30, 61, 30)]
SMALL = {"max_epochs": 1, "latent_size": 4, "context_size": 4, "random_state": 0}
METHODS = (
    "transform",
    "transform_steps",
    "score",
    "score_samples",
    "contrastive_accuracy",
)


@pytest.fixture(scope="module")
def fitted():
    return CPCTransformer(**SMALL).fit(X)


@pytest.fixture
def bars(monkeypatch):
    """Return what bars were opened, with how much they showed."""
    opened = []

    class Recorded(Progress):
        def __init__(self, total, unit, delay=0, shown=True):
            super().__init__(total, unit, delay, shown)
            self.total, self.shown, self.closed = total, shown, False
            opened.append(self)

        def close(self):
            super().close()
            self.closed = True

    monkeypatch.setattr(inference, "Progress", Recorded)
    return opened


@pytest.mark.parametrize("piece", [2**14, 16])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_shows_its_steps(method, piece, fitted, bars, monkeypatch):
    monkeypatch.setattr(inference, "PIECE", piece)
    fitted.set_params(verbose=1)
    getattr(fitted, method)(X)
    (bar,) = bars
    assert bar.shown
    assert bar.closed
    assert bar.n == bar.total == sum(map(len, X))


def test_images_too(bars):
    images = RNG.normal(size=(6, 16, 16))
    CPCImageTransformer(**SMALL).fit(images).set_params(verbose=1).transform(images)
    assert bars[-1].n == bars[-1].total > 0


def test_not_without_verbose_and_not_for_scores_within_a_fit(fitted, bars):
    fitted.set_params(verbose=0).transform(X)
    CPCTransformer(**SMALL, verbose=1, early_stopping=True).fit(X)
    assert len(bars) >= 2
    assert not any(bar.shown for bar in bars)


def test_a_bar_that_is_left_in_the_middle_is_closed(fitted, bars):
    fitted.set_params(verbose=1)
    outputs = fitted._run(fitted._pooled_features(), fitted._read_fitted(X), None)
    next(outputs)
    outputs.close()
    assert bars[-1].closed


def test_short_work_shows_nothing(fitted, capsys):
    fitted.set_params(verbose=1).transform(X)
    assert capsys.readouterr().err == ""


def test_a_bar_has_the_time_that_is_left(capsys):
    bar = Progress(200, "step")
    for _ in range(4):
        bar.advance(25, loss=0.5)
    bar.close()
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "CPC:  50%" in shown
    assert "100/200" in shown
    assert "<" in shown
    assert "step/s" in shown or "s/step" in shown


class Pipe(io.StringIO):
    """A stream with nobody at its other end."""

    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [lambda: None, closed, Pipe])
def test_no_stream_is_worth_a_fit(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    cpc = CPCTransformer(**SMALL, verbose=1).fit(X)
    bar = Progress(3, "step")
    bar.advance(2)
    bar.close()
    assert bar.n == 2
    assert np.isfinite(cpc.transform(X)).all()
