"""What a trained model gives: features, and how well it predicts."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn.loss import positive_positions
from ..nn.model import CPC
from .batches import Source, even_batches

# Matrix products of fewer rows take other code paths and round differently: with
# at least four, a sample's features are the same bits beside any others. Long
# sequences fill a matrix by themselves and are left alone.
MIN_ROWS, MIN_ROWS_STEPS = 4, 4096
# Candidates that a score stands for: it is at most log(1024) = 6.93 nats.
SCORE_CANDIDATES = 1024
# Latents that stand for all others when a score is computed.
POOL_SIZE = 1024


def run(
    function: Callable[[Tensor, Tensor], Any],
    source: Source,
    *,
    batch_size: int,
    device: str,
    autocast: torch.dtype | None,
    rows: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the rows and the outputs of `function` on every batch of `source`.

    Parameters
    ----------
    function : callable
        ``(x, lengths) -> output`` on `device`, one row a sample.
    source : Source
    batch_size : int
    device : str
    autocast : torch.dtype or None
    rows : ndarray, default=None
        Sequences to run on; None takes all.

    Yields
    ------
    rows : ndarray of shape (B,)
    output : Tensor or tuple of Tensor
        Of at least B rows, in the order of `rows`.
    """
    kind = torch.device(device).type
    if rows is None:
        rows = np.arange(len(source.lengths))
    for index in even_batches(source.lengths[rows], batch_size):
        batch = rows[index]
        n_rows = len(batch)
        if source.lengths[batch].max() <= MIN_ROWS_STEPS:
            batch = np.resize(batch, max(n_rows, MIN_ROWS))  # repeats
        x, lengths = (torch.from_numpy(part) for part in source.batch(batch))
        # inference_mode and autocast are left before control goes to the caller.
        with torch.inference_mode(), torch.autocast(kind, autocast, autocast is not None):
            output = function(x.to(device), lengths.to(device))
        yield batch[:n_rows], output


def score_samples(
    model: CPC,
    source: Source,
    *,
    skip_steps: int,
    temperature: float,
    **run_options: Any,
) -> np.ndarray:
    r"""Return ``log N - InfoNCE`` of every sequence, at N = `SCORE_CANDIDATES`.

    The sum over the N - 1 negatives is replaced by its expectation: N - 1 times
    the mean over a fixed selection of latents of all sequences, the positive
    left out. Nothing is drawn, so the score is deterministic, and N does not
    depend on how many latents there are.

    Parameters
    ----------
    model : CPC
    source : Source
    skip_steps : int
    temperature : float
    **run_options
        Those of `run`.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN for a sequence that is too short for a single prediction.
    """
    model.eval()
    pool, pool_numbers = _latent_pool(model, source, **run_options)
    pool = F.normalize(pool, dim=-1) / temperature
    first_number = _first_numbers(model, source.lengths)
    scores = np.full(len(source.lengths), np.nan)
    for rows, (z, _, predictions, lengths) in run(model, source, **run_options):
        n_steps, n_ahead = predictions.shape[1:3]
        position, valid = positive_positions(lengths, n_steps, n_ahead, skip_steps)
        z = F.normalize(z.float(), dim=-1).flatten(0, 1)  # (B T', D)
        predictions = F.normalize(predictions.float(), dim=-1)  # (B, T', K, D)
        for i, row in enumerate(rows):
            if not valid[i].any():
                continue
            positive = position[i][valid[i]]  # (M,)
            p = predictions[i][valid[i].to(z.device)]  # (M, D)
            score = (p * z[positive.to(z.device)]).sum(-1) / temperature  # (M,)
            number = first_number[row] + positive - i * n_steps  # (M,)
            is_positive = (number[:, None] == pool_numbers).to(z.device)  # (M, P)
            logits = (p @ pool.T).masked_fill_(is_positive, -torch.inf)
            n_negatives = (~is_positive).sum(-1)
            mean = logits.logsumexp(-1) - n_negatives.log()
            loss = F.softplus(math.log(SCORE_CANDIDATES - 1) + mean - score)
            scores[row] = math.log(SCORE_CANDIDATES) - float(loss.mean())
    return scores


def _first_numbers(model: CPC, lengths: np.ndarray) -> np.ndarray:
    """Number all latents of all sequences; return that of each one's first."""
    n_latents = -(-lengths // model.downsampling)
    return np.cumsum(n_latents) - n_latents


def _latent_pool(
    model: CPC, source: Source, **run_options: Any
) -> tuple[Tensor, Tensor]:
    """Return up to `POOL_SIZE` latents, spread evenly over all, and their numbers."""
    first_number = _first_numbers(model, source.lengths)
    last = int(first_number[-1]) + (int(source.lengths[-1]) - 1) // model.downsampling
    numbers = np.unique(np.linspace(0, last, POOL_SIZE).round().astype(np.int64))
    row_of = np.searchsorted(first_number, numbers, side="right") - 1

    def encode(x: Tensor, lengths: Tensor) -> Tensor:
        return model.encoder(x).float()

    latents, found = [], []
    for rows, z in run(encode, source, rows=np.unique(row_of), **run_options):
        for row, z_i in zip(rows, z, strict=False):
            wanted = numbers[row_of == row]
            latents.append(z_i[torch.from_numpy(wanted - first_number[row])])
            found.append(wanted)
    return torch.cat(latents), torch.from_numpy(np.concatenate(found))
