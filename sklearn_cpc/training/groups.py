"""The samples of a fit, their groups, and what is held out for validation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from .._data.groups import group_codes
from .._data.source import Source
from ..nn.negatives import NEGATIVES
from .options import Objective, TrainingOptions


@dataclass(frozen=True)
class TrainingData:
    """Samples and their groups.

    Attributes
    ----------
    source : Source
        The samples.
    groups : ndarray of shape (n,) or None, default=None
        Integer group of each sample. None puts all into one group.
    gather : {"sequences", "groups"} or None, default=None
        What the windows of a batch should share. None mixes all windows.
    """

    source: Source
    groups: np.ndarray | None = None
    gather: str | None = None

    @classmethod
    def of(
        cls, source: Source, groups: Any, objective: Objective, batch_size: int
    ) -> "TrainingData":
        """Check the groups that a user passed.

        Parameters
        ----------
        source : Source
        groups : array-like of shape (n,) or None
            As the user passed them.
        objective : Objective
        batch_size : int

        Returns
        -------
        TrainingData

        Raises
        ------
        ValueError
            If `groups` have another length, are missing, or leave no negatives.
        """
        n_samples = len(source)
        # "auto" needs no groups, and its strategies hold the positive.
        auto = objective.negatives == "auto"
        negatives = NEGATIVES["batch" if auto else objective.negatives]
        if groups is not None:
            groups = group_codes(groups, n_samples)
        elif negatives.needs_groups:
            raise ValueError(
                f"negatives={objective.negatives!r} needs groups: fit(X, groups=...)."
            )
        if not negatives.may_hold_positive:
            together = n_samples if groups is None else np.bincount(groups).max()
            if min(together, batch_size) < 2:
                raise ValueError(
                    f"negatives={objective.negatives!r} needs other sequences in a "
                    f"batch, but batch_size={batch_size} and at most {together} "
                    "sequences could be in one. Use negatives='batch' or "
                    "'same_sequence', a larger batch_size, or more sequences."
                )
        return cls(source, groups)

    def take(self, rows: np.ndarray) -> "TrainingData":
        """Return some of the samples."""
        groups = None if self.groups is None else self.groups[rows]
        return TrainingData(self.source.take(rows), groups, self.gather)


def hold_out(
    data: TrainingData, options: TrainingOptions, rng: np.random.Generator
) -> tuple[TrainingData, Source | None]:
    """Split the data for training and validation, whole groups if there are groups.

    Parameters
    ----------
    data : TrainingData
    options : TrainingOptions
    rng : numpy.random.Generator
        Draws the part for validation.

    Returns
    -------
    train : TrainingData
    held_out : Source or None
        None without early stopping.

    Raises
    ------
    ValueError
        If one of the two parts is empty.
    """
    if not options.early_stopping:
        return data, None
    n_samples, fraction = len(data.source), options.validation_fraction
    splitter = GroupShuffleSplit(
        1, test_size=fraction, random_state=int(rng.integers(2**31))
    )
    groups = np.arange(n_samples) if data.groups is None else data.groups
    try:
        ((train, valid),) = splitter.split(np.empty(n_samples), groups=groups)
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={fraction} leaves no sample on one side, of "
            f"{n_samples} samples: {error}"
        ) from None
    return data.take(train), data.source.take(valid)
