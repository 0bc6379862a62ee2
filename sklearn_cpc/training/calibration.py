"""Calibration: a new encoder sees some windows of the data before training."""

import numpy as np
import torch

from .._data.source import Source
from ..nn.encoders import Encoder

# Steps of each sequence of a calibration, and values in all with many channels.
N_STEPS, N_VALUES = 4_096, 2**23


def calibrate(
    encoder: Encoder, source: Source, n_channels: int, generator: torch.Generator
) -> None:
    """Let an encoder adapt its initial weights to random windows of the samples.

    Parameters
    ----------
    encoder : Encoder
        Changed in place. Nothing happens unless it overrides `Encoder.calibrate`.
    source : Source
        The training samples.
    n_channels : int
        Channels of the samples.
    generator : torch.Generator
        Draws the windows.
    """
    if not encoder.needs_calibration:
        return
    rows = torch.randperm(len(source), generator=generator).numpy()
    rows = rows[: _n_sequences(encoder, source)]
    size = min(N_STEPS, -(-N_VALUES // (len(rows) * n_channels)))
    spare = np.maximum(source.lengths[rows] - size, 0)
    starts = np.int64(torch.rand(len(rows), generator=generator).numpy() * (spare + 1))
    x, lengths = source.batch(rows, np.minimum(starts, spare), size)
    encoder.calibrate(torch.from_numpy(x), torch.from_numpy(lengths))


def _n_sequences(encoder: Encoder, source: Source) -> int:
    """Return how many sequences fit: large images count by their values."""
    x, _ = source.batch(np.zeros(1, np.int64), np.zeros(1, np.int64), N_STEPS)
    return min(encoder.n_calibration, max(32, N_VALUES // x.size))
