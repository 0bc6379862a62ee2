"""Japanese vowels: short utterances of nine speakers."""

from importlib import resources

import numpy as np
from sklearn.utils import Bunch

DESCRIPTION = """\
Nine men uttered the Japanese vowels /ae/ one after the other. Each utterance is a
series of 7 to 29 frames of 12 linear prediction cepstrum coefficients (sampling rate
10 kHz, frame length 25.6 ms, frame shift 6.4 ms); the task is to tell the speaker.
270 utterances are for training, 30 of each speaker, and 370 for testing.

M. Kudo, J. Toyama, M. Shimbo (1999), Multidimensional Curve Classification Using
Passing-Through Regions, Pattern Recognition Letters 20 (11-13), 1103-1111.
UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, CC BY 4.0.
"""


def load_japanese_vowels(
    *, split: str = "train", return_X_y: bool = False
) -> Bunch | tuple[list[np.ndarray], np.ndarray]:
    """Load the Japanese vowels: real speech, variable length, 9 speakers.

    =================   ==========================================
    Utterances          270 for training, 370 for testing
    Time steps          7 to 29 (6.4 ms each)
    Channels            12 (linear prediction cepstrum)
    Classes             9 speakers, numbered 1 to 9
    =================   ==========================================

    Parameters
    ----------
    split : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training part followed by the other.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : list of ndarray of shape (n_timesteps_i, 12), float32
            The utterances.
        target : ndarray of shape (n_samples,), int64
            The speakers.
        DESCR : str
            What the data are and where they come from.
    (data, target) : tuple if ``return_X_y`` is True
        The first two of these.

    Raises
    ------
    ValueError
        If `split` is another value.

    References
    ----------
    M. Kudo, J. Toyama, M. Shimbo (1999), Multidimensional Curve Classification
    Using Passing-Through Regions, Pattern Recognition Letters 20 (11-13). UCI
    Machine Learning Repository, https://doi.org/10.24432/C5NS47, CC BY 4.0.

    Examples
    --------
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> len(X), X[0].shape, X[1].shape
    (270, (20, 12), (26, 12))
    """
    parts = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}
    if split not in parts:
        raise ValueError(f"split must be 'train', 'test' or 'all', got {split!r}.")
    X: list[np.ndarray] = []
    y = []
    path = resources.files(__package__) / "data" / "japanese_vowels.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        for part in parts[split]:
            ends = np.cumsum(arrays[f"lengths_{part}"], dtype=np.int64)
            X += np.split(arrays[f"values_{part}"], ends[:-1])
            y.append(arrays[f"speaker_{part}"].astype(np.int64))
    target = np.concatenate(y)
    if return_X_y:
        return X, target
    return Bunch(data=X, target=target, DESCR=DESCRIPTION)
