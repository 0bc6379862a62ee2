"""Where the warnings of a fit point to, and what they say."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_cpc import CPCTransformer
from sklearn_cpc.training.diagnostics import warn_if_failed

X = np.random.default_rng(0).normal(size=(8, 40, 1)).cumsum(1)


def trivial():
    """Return an estimator that warns as its training starts."""
    return CPCTransformer(
        encoder="conv",
        latent_size=4,
        context_size=4,
        skip_steps=0,
        prediction_steps=1,
        max_epochs=1,
        random_state=0,
    )


def search(X):
    return GridSearchCV(trivial(), {"lr": [0.1]}, cv=2, refit=False).fit(X)


@pytest.mark.parametrize(
    "call",
    [
        trivial().fit,
        trivial().fit_transform,
        trivial().partial_fit,
        make_pipeline(FunctionTransformer(), trivial()).fit,
        search,
    ],
    ids=["fit", "fit_transform", "partial_fit", "pipeline", "search"],
)
def test_a_warning_points_to_the_line_that_called_fit(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(X)
    places = {w.filename for w in caught if "too easy to teach" in str(w.message)}
    assert places == {__file__}


def message(*losses, chance=4.86):
    """Return the warning about epochs with these losses."""
    epochs = [{"train_loss": loss, "train_chance": chance} for loss in losses]
    latents = np.eye(4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_failed(epochs, 100, latents)
    for warning in caught:
        assert warning.category is ConvergenceWarning
    return "\n".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((4.9, 3.0, 2.0), ""),
        ((4.9, 4.85), "The loss never left log N = 4.86, the loss of guessing (best"),
        ((4.9, 4.0, 4.82), "but ended at 4.82, near log N = 4.86, the loss of guess"),
        ((4.9, 4.0, 5.02), "but ended at 5.02, above log N = 4.86, the loss of gues"),
        ((4.9, 4.0, 4.80), ""),
    ],
)
def test_the_warning_is_true(losses, expected):
    found = message(*losses)
    assert expected in found
    assert bool(found) == bool(expected)
