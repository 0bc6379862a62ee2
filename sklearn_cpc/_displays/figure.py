"""What all displays need: matplotlib, axes, and an estimator that suits them."""

from typing import Any

from sklearn.utils.validation import check_is_fitted


def pyplot(display: Any) -> Any:
    """Return ``matplotlib.pyplot``, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            f"{display.__name__} needs the package matplotlib: "
            'pip install "sklearn-cpc[plot]".'
        ) from None
    return plt


def axes(display: Any, ax: Any, **options: Any) -> Any:
    """Return the axes to draw on: those given, or new ones in a figure of their own."""
    plt = pyplot(display)
    if ax is None:
        _, ax = plt.subplots(layout="constrained", **options)
    return ax


def check_cpc(display: Any, estimator: Any, method: str) -> None:
    """Raise unless the estimator is a fitted one of CPC that has a method.

    Raises
    ------
    TypeError
        If it is another estimator, such as a pipeline.
    NotFittedError
        If it is not fitted.
    """
    if not hasattr(estimator, "contrastive_accuracy"):
        raise TypeError(
            f"{display.__name__} draws a CPC estimator, but got "
            f"{type(estimator).__name__}. Of a pipeline pass the step, such as pipe[0]."
        )
    if not hasattr(estimator, method):
        raise TypeError(
            f"{display.__name__} draws sequences of values over time, which "
            f"{type(estimator).__name__} does not take."
        )
    check_is_fitted(estimator)
