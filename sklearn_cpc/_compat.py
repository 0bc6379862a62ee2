"""The only place that knows which scikit-learn release is installed."""

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Callbacks of scikit-learn do not exist: nothing can be set."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


# Where scikit-learn keeps what it tears down after `fit`, also after a failed one.
CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")

__all__ = [
    "CALLBACK_STATE",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "with_callbacks",
]
