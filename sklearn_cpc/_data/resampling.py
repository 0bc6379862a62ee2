"""Recordings of another sampling rate than the encoder expects."""

from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from .sequences import Sequences, release

# A ratio of whole numbers up to this one is off by less than a thousandth of a percent.
LARGEST = 100_000


def resampled(sequences: Sequences, rate: float, expected: float) -> Sequences:
    """Return recordings at the expected rate: a low-pass filter, then other steps.

    Parameters
    ----------
    sequences : Sequences
        Recordings without missing values.
    rate : float
        Their sampling rate, in hertz.
    expected : float
        The rate to return, in hertz.

    Returns
    -------
    Sequences
        Copies in memory, float32, or float64 where the values need it.

    Raises
    ------
    ValueError
        If a value is missing.
    """
    if rate == expected:
        return sequences
    ratio = (Fraction(expected) / Fraction(rate)).limit_denominator(LARGEST)
    if ratio == 0:
        raise ValueError(
            f"sampling_rate={rate!r} cannot be brought to {expected:g} Hz. Pass what "
            "the recordings have, in hertz."
        )
    arrays = []
    for row, length in enumerate(sequences.lengths):
        array = sequences.arrays[row][:length]
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError(
                f"Sample {row} of X has missing values, which would spread when it is "
                f"brought from {rate:g} to {expected:g} Hz. Fill them first, for "
                "instance by pandas' interpolate."
            )
        dtype = np.result_type(array.dtype, np.float32)  # float64 for wide integers
        arrays.append(
            resample_poly(
                array.astype(dtype), ratio.numerator, ratio.denominator, axis=0
            )
        )
        release([array])
    lengths = np.array([len(array) for array in arrays])
    return Sequences(arrays, lengths, sequences.form)
