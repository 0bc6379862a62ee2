"""The only place that knows which scikit-learn release is installed."""

from typing import Any

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    HAS_CALLBACKS = True
except ImportError:  # before scikit-learn 1.9
    HAS_CALLBACKS = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Takes the place of the class that does not exist yet."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


# Attributes with what scikit-learn tears down after `fit`, also after a failed one.
CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")

__all__ = [
    "CALLBACK_STATE",
    "HAS_CALLBACKS",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "with_callbacks",
]
