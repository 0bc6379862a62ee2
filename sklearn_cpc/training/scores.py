"""How well a trained model tells the future of sequences from other latents."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..nn.masks import latent_lengths
from ..nn.model import CPC
from ..nn.streaming import can_advance, encoded_pieces
from .batches import Source
from .inference import run

# Candidates that a score stands for: it is at most log(1024) = 6.93 nats.
SCORE_CANDIDATES = 1024
# Anchors scored at once: memory does not grow with the length of a sequence.
SCORE_ANCHORS = 1024
# Latents that stand for all others in a score, and sequences they come from.
N_REFERENCES, N_REFERENCE_ROWS = 256, 64
# A reference this close to the positive is taken for the positive itself.
SAME = 1 - 1e-6


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
        z[: n_latents[row]].flatten(0, -2)
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
    return F.normalize(flat[_spread(len(flat), N_REFERENCES)], dim=-1).detach().cpu()


def _spread(n: int, n_wanted: int) -> np.ndarray:
    """Return at most `n_wanted` of the numbers below `n`, evenly spread."""
    return np.linspace(0, n - 1, min(n, n_wanted)).round().astype(np.int64)


class Comparison(NamedTuple):
    """Predictions of one sequence, compared with latents: cosines.

    Attributes
    ----------
    step : Tensor of shape (M,)
        Which of the K steps ahead is predicted.
    positive : Tensor of shape (M,)
        With the latent that came.
    negatives : Tensor of shape (M, R)
        With the references; -inf where the reference is the positive itself.
    n_negatives : Tensor of shape (M,)
        Number of those that are not.
    """

    step: Tensor
    positive: Tensor
    negatives: Tensor
    n_negatives: Tensor


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

    def mean_loss(comparisons: Iterator[Comparison]) -> float:
        total, n_pairs = 0.0, 0
        for _, positive, negatives, n_negatives in comparisons:
            mean = (negatives / temperature).logsumexp(-1) - n_negatives.log()
            # Where no reference differs from the positive, guessing is all one can.
            margin = torch.where(n_negatives > 0, mean - positive / temperature, 0.0)
            loss = F.softplus(math.log(SCORE_CANDIDATES - 1) + margin)
            total += float(loss.double().sum())
            n_pairs += len(loss)
        return total / n_pairs if n_pairs else math.nan

    losses = _compare(mean_loss, model, source, references, skip_steps, **run_options)
    return math.log(SCORE_CANDIDATES) - np.array(losses)


def contrastive_accuracy(
    model: CPC,
    source: Source,
    references: Tensor,
    *,
    skip_steps: int,
    **run_options: Any,
) -> np.ndarray:
    """Return how often the true latent is the one most like its prediction.

    Parameters
    ----------
    model : CPC
    source : Source
    references : Tensor of shape (R, D)
        Those of `reference_latents`, which it is compared with.
    skip_steps : int
    **run_options
        Those of `run`.

    Returns
    -------
    ndarray of shape (K,), float64
        By step ahead; NaN for a step that no sequence is long enough for.
    """
    n_ahead = model.prediction_steps

    def count(comparisons: Iterator[Comparison]) -> np.ndarray:
        """Return how many are right and how many there are, by step ahead."""
        counts = np.zeros((2, n_ahead))
        for step, positive, negatives, n_negatives in comparisons:
            possible = n_negatives > 0
            right = possible & (positive > negatives.amax(-1))
            for row, chosen in zip(counts, (right, possible), strict=True):
                row += torch.bincount(step[chosen], minlength=n_ahead).cpu().numpy()
        return counts

    counts = _compare(count, model, source, references, skip_steps, **run_options)
    n_right, n_possible = np.sum(counts, axis=0)
    unknown = np.full(n_ahead, np.nan)
    return np.divide(n_right, n_possible, out=unknown, where=n_possible > 0)


def _compare(
    function: Callable[[Iterator[Comparison]], Any],
    model: CPC,
    source: Source,
    references: Tensor,
    skip_steps: int,
    **run_options: Any,
) -> list[Any]:
    """Return what `function` makes of the comparisons of every sequence."""
    model.eval()
    references = references.to(run_options["device"])

    def compare(z: Tensor, c: Tensor, n_latents: Tensor) -> list[Any]:
        return [
            function(
                _comparisons(model.paths(z[i, :n], c[i, :n]), references, skip_steps)
            )
            for i, n in enumerate(n_latents.tolist())
        ]

    def of_batch(x: Tensor, lengths: Tensor) -> list[Any]:
        z = model.encoder(x)  # (B, T', D), or (B, R, Q, D) for images
        c = model.context(z)  # (B, T', H)
        return compare(z, c, latent_lengths(lengths, model.downsampling))

    def of_pieces(pieces: Iterator[tuple[Tensor, Tensor]]) -> list[Any]:
        z, c, lengths = encoded_pieces(model, pieces)
        return compare(z, c, latent_lengths(lengths, model.downsampling))

    results: list[Any] = [None] * len(source.lengths)
    in_pieces = of_pieces if can_advance(model) else None
    for rows, outputs in run(of_batch, source, in_pieces=in_pieces, **run_options):
        for row, output in zip(rows, outputs, strict=False):
            results[row] = output
    return results


def _comparisons(
    paths: Iterable[tuple[Tensor, Tensor, Any]], references: Tensor, skip_steps: int
) -> Iterator[Comparison]:
    """Yield the comparisons along all paths of one sample, anchors by anchors."""
    for z, c, predictor in paths:  # (S, T', D), (S, T', H)
        n_sequences, n_steps, _ = z.shape
        for start in range(0, n_steps, SCORE_ANCHORS):
            predictions = predictor(c[:, start : start + SCORE_ANCHORS])  # (S, A, K, D)
            _, n_anchors, n_ahead, _ = predictions.shape
            anchor = torch.arange(start, start + n_anchors, device=z.device)
            ahead = torch.arange(n_ahead, device=z.device)
            target = anchor[:, None] + ahead + 1 + skip_steps  # (A, K)
            valid = target < n_steps
            step = ahead.expand(n_anchors, -1)[valid].repeat(n_sequences)
            with torch.autocast(z.device.type, enabled=False):
                p, positive = (
                    F.normalize(vectors.float(), dim=-1).flatten(0, 1)  # (M, D)
                    for vectors in (predictions[:, valid], z[:, target[valid]])
                )
                # Of latents, not of scores: is the reference the positive itself?
                is_positive = positive @ references.T > SAME  # (M, R)
                negatives = (p @ references.T).masked_fill_(is_positive, -torch.inf)
                n_negatives = (~is_positive).sum(-1)
                yield Comparison(step, (p * positive).sum(-1), negatives, n_negatives)
