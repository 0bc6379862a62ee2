"""What all displays share: matplotlib, axes, and the check of the estimator."""

from typing import Any

from sklearn.utils.validation import check_is_fitted

from .._base import BaseCPC


def pyplot(display: type) -> Any:
    """Return ``matplotlib.pyplot``, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            f"{display.__name__} needs the package matplotlib: "
            'pip install "sklearn-cpc[plot]".'
        ) from None
    return plt


def axes(display: type, ax: Any, **options: Any) -> Any:
    """Return the axes to draw on: the user's, or new ones in a new figure."""
    plt = pyplot(display)
    if ax is None:
        _, ax = plt.subplots(layout="constrained", **options)
    return ax


def check_cpc(display: type, estimator: Any, kind: type[BaseCPC] = BaseCPC) -> None:
    """Raise unless the estimator is a fitted CPC estimator, of this kind.

    Raises
    ------
    TypeError
        If the estimator is of another kind, such as a pipeline.
    NotFittedError
        If it is not fitted.
    """
    if not isinstance(estimator, BaseCPC):
        raise TypeError(
            f"{display.__name__} draws a CPC estimator, but got "
            f"{type(estimator).__name__}. Of a pipeline pass the step, such as pipe[0]."
        )
    if not isinstance(estimator, kind):
        raise TypeError(
            f"{display.__name__} draws sequences of values over time, which "
            f"{type(estimator).__name__} does not take."
        )
    check_is_fitted(estimator)
