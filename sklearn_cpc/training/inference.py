"""What a trained model gives: features, and how well it predicts."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn.masks import latent_lengths
from ..nn.model import CPC
from .batches import Source, even_batches

# Matrix products of fewer rows take other code paths and round differently: with
# at least four, a sample's features are the same bits beside any others. Long
# sequences fill a matrix by themselves and are left alone.
MIN_ROWS, MIN_ROWS_STEPS = 4, 4096
# Candidates that a score stands for: it is at most log(1024) = 6.93 nats.
SCORE_CANDIDATES = 1024
# Anchors scored at once: memory does not grow with the length of a sequence.
SCORE_ANCHORS = 1024
# Latents that stand for all others in a score, and sequences they come from.
N_REFERENCES, N_REFERENCE_ROWS = 256, 64
# A reference this close to the positive is taken for the positive itself.
SAME = 1 - 1e-6


def run(
    function: Callable[[Tensor, Tensor], Any],
    source: Source,
    *,
    batch_size: int,
    device: str,
    autocast: torch.dtype | None,
    rows: np.ndarray | None = None,
    size: int | None = None,
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
    size : int, default=None
        Steps of each sequence to run on; None takes all.

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
        x, lengths = (torch.from_numpy(part) for part in source.batch(batch, size=size))
        # inference_mode and autocast are left before control goes to the caller.
        with (
            torch.inference_mode(),
            torch.autocast(kind, autocast, autocast is not None),
        ):
            output = function(x.to(device), lengths.to(device))
        yield batch[:n_rows], output


def reference_latents(
    model: CPC, source: Source, *, size: int, **run_options: Any
) -> Tensor:
    """Return latents that stand for those of all sequences in scores.

    Parameters
    ----------
    model : CPC
    source : Source
    size : int
        Steps of each sequence to look at.
    **run_options
        Those of `run`.

    Returns
    -------
    Tensor of shape (R, D), float32
        At most `N_REFERENCES`, spread evenly, L2-normalised, on the CPU.
    """
    model.eval()
    rows = _spread(len(source.lengths), N_REFERENCE_ROWS)
    n_latents = -(-np.minimum(source.lengths, size) // model.downsampling)
    latents = [
        z[: n_latents[row]]
        for batch, output in run(
            lambda x, lengths: model.encoder(x).float(),
            source,
            rows=rows,
            size=size,
            **run_options,
        )
        for row, z in zip(batch, output, strict=False)
    ]
    flat = torch.cat(latents)
    return F.normalize(flat[_spread(len(flat), N_REFERENCES)], dim=-1).cpu()


def _spread(n: int, n_wanted: int) -> np.ndarray:
    """Return at most `n_wanted` of the numbers below `n`, evenly spread."""
    return np.linspace(0, n - 1, min(n, n_wanted)).round().astype(np.int64)


def score_samples(
    model: CPC,
    source: Source,
    references: Tensor,
    *,
    skip_steps: int,
    temperature: float,
    **run_options: Any,
) -> np.ndarray:
    r"""Return ``log N - InfoNCE`` of every sequence, at N = `SCORE_CANDIDATES`.

    The sum over the N - 1 negatives is replaced by its expectation, N - 1 times
    the mean over the references. So nothing is drawn, N depends on nothing, and
    the score of a sequence does not depend on the others.

    Parameters
    ----------
    model : CPC
    source : Source
    references : Tensor of shape (R, D)
        Those of `reference_latents`.
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
    references = references.to(run_options["device"])

    def mean_losses(x: Tensor, lengths: Tensor) -> list[float]:
        z = model.encoder(x)  # (B, T', D)
        c = model.context(z)  # (B, T', H)
        n_latents = latent_lengths(lengths, model.downsampling).tolist()
        return [
            _mean_loss(model, z[i, :n], c[i, :n], references, skip_steps, temperature)
            for i, n in enumerate(n_latents)
        ]

    scores = np.empty(len(source.lengths))
    for rows, losses in run(mean_losses, source, **run_options):
        scores[rows] = math.log(SCORE_CANDIDATES) - np.array(losses[: len(rows)])
    return scores


def _mean_loss(
    model: CPC,
    z: Tensor,
    c: Tensor,
    references: Tensor,
    skip_steps: int,
    temperature: float,
) -> float:
    """Return the mean loss of one sequence; NaN if there is nothing to predict."""
    total, n_pairs = 0.0, 0
    for start in range(0, len(c), SCORE_ANCHORS):
        predictions = model.predictor(c[start : start + SCORE_ANCHORS])  # (A, K, D)
        n_anchors, n_ahead, _ = predictions.shape
        anchor = torch.arange(start, start + n_anchors, device=z.device)
        ahead = torch.arange(n_ahead, device=z.device) + 1 + skip_steps
        target = anchor[:, None] + ahead  # (A, K)
        valid = target < len(z)
        with torch.autocast(z.device.type, enabled=False):
            p = F.normalize(predictions[valid].float(), dim=-1)  # (M, D)
            positive = F.normalize(z[target[valid]].float(), dim=-1)  # (M, D)
            # A comparison of latents, not of scores: is the reference the positive?
            is_positive = positive @ references.T > SAME  # (M, R)
            logits = p @ references.T / temperature
            logits.masked_fill_(is_positive, -torch.inf)
            n_negatives = (~is_positive).sum(-1)
            mean = logits.logsumexp(-1) - n_negatives.log()
            score = (p * positive).sum(-1) / temperature
            # Where no reference differs from the positive, guessing is all one can.
            margin = torch.where(n_negatives > 0, mean - score, 0.0)
            loss = F.softplus(math.log(SCORE_CANDIDATES - 1) + margin)
        total += float(loss.double().sum())
        n_pairs += len(loss)
    return total / n_pairs if n_pairs else math.nan
