"""Warnings, at the line of the user's own code that caused them."""

import os
import sys
import warnings
from pathlib import Path

import joblib
import sklearn

# The caller of `fit` is the first frame outside of these folders.
PACKAGES = tuple(
    f"{folder}{os.sep}"
    for folder in (
        Path(sklearn.__file__).parent,
        Path(joblib.__file__).parent,
        Path(__file__).parent,
    )
)


class InputWarning(UserWarning):
    """Data can be read as they are, but another reading is far more plausible.

    The message says how the data were read and how to pass them if you meant something
    else. If they were read correctly, silence the warning:
    ``warnings.simplefilter("ignore", InputWarning)``.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn_cpc import CPCTransformer, InputWarning
    >>> recording = np.random.default_rng(0).normal(size=(2000, 3))  # not a list of one
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", InputWarning)
    ...     cpc = CPCTransformer(max_epochs=0).fit(recording)
    >>> print(caught[0].message)
    X was read as 2000 samples of 3 time steps each...
    """


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user that called `fit`, alone or in a pipeline."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
