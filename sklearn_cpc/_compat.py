"""The only place that knows which scikit-learn release is installed."""

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)

__all__ = ["HasMethods", "Interval", "InvalidParameterError", "Options", "StrOptions"]
