"""Calibration: a new encoder sees some windows of the data before training."""

import numpy as np
import torch

from .._data.source import Source
from ..nn.encoders import Encoder

# Sequences of a calibration, steps of each, and values in all with many channels.
N_SEQUENCES, N_STEPS, N_VALUES = 32, 4_096, 2**23


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
    rows = torch.randperm(len(source), generator=generator)[:N_SEQUENCES].numpy()
    size = min(N_STEPS, -(-N_VALUES // (len(rows) * n_channels)))
    spare = np.maximum(source.lengths[rows] - size, 0)
    starts = np.int64(torch.rand(len(rows), generator=generator).numpy() * (spare + 1))
    x, lengths = source.batch(rows, np.minimum(starts, spare), size)
    encoder.calibrate(torch.from_numpy(x), torch.from_numpy(lengths))
