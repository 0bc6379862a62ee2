"""Electrocardiogram: five minutes of a heart that often skips a beat."""

from importlib import resources

import numpy as np
from sklearn.utils import Bunch

DESCRIPTION = """\
Five minutes of an electrocardiogram (lead MLII, 360 Hz, in millivolts), from 19:35 to
24:35 of record 208 of the MIT-BIH Arrhythmia Database: normal beats, many premature
ventricular contractions, noise of muscles, and an electrode that loses contact 209 s
after the beginning. There are no annotations.

G. B. Moody, R. G. Mark (2001), The impact of the MIT-BIH Arrhythmia Database, IEEE
Engineering in Medicine and Biology 20 (3), 45-50. PhysioNet,
https://doi.org/10.13026/C2F305, ODC-By 1.0.
"""


def load_electrocardiogram() -> Bunch:
    """Load an electrocardiogram: one long real signal with odd beats in it.

    =================   ================================================
    Time steps          108 000, five minutes at 360 Hz
    Channels            1, in millivolts
    What is in it       normal beats, premature ventricular contractions,
                        noise of muscles, a lost contact from 209 to 214 s
    =================   ================================================

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (108000,), float32
            The signal in millivolts.
        sampling_rate : int
            Time steps a second: 360.
        DESCR : str
            What the data are and where they come from.

    References
    ----------
    G. B. Moody, R. G. Mark (2001), The impact of the MIT-BIH Arrhythmia Database,
    IEEE Engineering in Medicine and Biology 20 (3). PhysioNet,
    https://doi.org/10.13026/C2F305, ODC-By 1.0.

    A. L. Goldberger et al. (2000), PhysioBank, PhysioToolkit, and PhysioNet,
    Circulation 101 (23), e215-e220.

    Examples
    --------
    >>> from sklearn_cpc.datasets import load_electrocardiogram
    >>> ecg = load_electrocardiogram()
    >>> ecg.data.shape, len(ecg.data) / ecg.sampling_rate / 60
    ((108000,), 5.0)
    """
    path = resources.files(__package__) / "data" / "electrocardiogram.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        # What the converter measured: 200 units are a millivolt, 1024 is none.
        millivolts = (arrays["adu"].astype(np.float32) - 1024) / 200
    return Bunch(data=millivolts, sampling_rate=360, DESCR=DESCRIPTION)
