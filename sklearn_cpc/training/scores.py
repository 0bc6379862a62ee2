"""How well a trained model distinguishes the future of sequences from other latents."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .._data.source import Source
from ..nn.masks import latent_lengths
from ..nn.model import Model, Path
from ..nn.streaming import Pieces, can_advance, encoded_pieces
from .inference import Inference, run

# Candidates of a score: it is at most log(1024) = 6.93 nats.
SCORE_CANDIDATES = 1024
# Anchors scored at once, so that memory does not grow with the length of a sequence.
SCORE_ANCHORS = 1024
# Latents that represent all others in a score, and the sequences they come from.
N_REFERENCES, N_REFERENCE_ROWS = 256, 64
# A reference at this cosine distance from the positive is the positive itself, and one
# at the other distance is not. In between it counts in part, so that rounding, other
# beside other samples, changes no score by more than rounding.
SAME, OTHER = 0.5e-6, 1.5e-6
# Samples that show whether a model gives finite numbers.
N_TRIED = 8

Result = TypeVar("Result")


def reference_latents(
    model: Model, source: Source, inference: Inference, *, size: int
) -> Tensor:
    """Return latents that represent the latents of all sequences in scores.

    Parameters
    ----------
    model : Model
    source : Source
    inference : Inference
    size : int
        Steps of each sequence to use.

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
            inference,
            rows=rows,
            size=size,
        )
        for row, z in zip(batch, output, strict=True)
    ]
    flat = torch.cat(latents)
    return F.normalize(flat[_spread(len(flat), N_REFERENCES)], dim=-1).detach().cpu()


def check_outputs(
    model: Model, source: Source, inference: Inference, *, size: int
) -> None:
    """Refuse a model that gives NaN or infinity for some of the training samples.

    Parameters
    ----------
    model : Model
    source : Source
    inference : Inference
    size : int
        Steps of each sequence to use.

    Raises
    ------
    ValueError
        If a layer, a context or a prediction is not finite, or its square.
    """

    def outputs(x: Tensor, lengths: Tensor) -> Tensor:
        layers = model.encoder.eval().layers(x)
        c = model.context.eval()(layers[-1])
        paths = model.paths(layers[-1], c)
        values = [*layers, c, *(path.predictor(path.c) for path in paths)]
        # Deviations and norms need the squares.
        squares = torch.stack([h.float().square().mean() for h in values])
        return squares.sum().expand(len(x))

    rows = _spread(len(source.lengths), N_TRIED)
    for _, output in run(outputs, source, inference, rows=rows, size=size):
        if not torch.isfinite(output).all():
            raise ValueError("The model gives values that are infinite or NaN.")


def _spread(n: int, n_wanted: int) -> np.ndarray:
    """Return at most `n_wanted` of the numbers below `n`, spread evenly."""
    return np.linspace(0, n - 1, min(n, n_wanted)).round().astype(np.int64)


class Comparison(NamedTuple):
    """Cosines between M predictions of one sequence and latents.

    Attributes
    ----------
    step : Tensor of shape (M,)
        Which of the K steps ahead is predicted.
    positive : Tensor of shape (M,)
        Cosine with the true latent.
    negatives : Tensor of shape (M, R)
        Cosines with the references.
    weights : Tensor of shape (M, R)
        0 where the reference is the positive itself, 1 where it is not.
    """

    step: Tensor
    positive: Tensor
    negatives: Tensor
    weights: Tensor


def score_samples(
    model: Model,
    source: Source,
    references: Tensor,
    inference: Inference,
    *,
    skip_steps: int,
    temperature: float,
) -> np.ndarray:
    r"""Return ``log N - InfoNCE`` of every sequence, at N = `SCORE_CANDIDATES`.

    The expectation replaces the sum over the N - 1 negatives: N - 1 times the mean over
    the references. So nothing is drawn, N is always the same, and the score of a
    sequence does not depend on the others.

    Parameters
    ----------
    model : Model
    source : Source
    references : Tensor of shape (R, D)
        What `reference_latents` returned.
    inference : Inference
    skip_steps : int
    temperature : float

    Returns
    -------
    ndarray of shape (n,), float64
        NaN for a sequence that is too short for a single prediction.
    """
    compare = _Comparer(model, references.to(inference.device), skip_steps)
    loss = partial(mean_loss, temperature=temperature)
    losses = np.array(compare.each(loss, source, inference))
    scores: np.ndarray = math.log(SCORE_CANDIDATES) - losses
    return scores


def mean_loss(comparisons: Iterator[Comparison], temperature: float) -> float:
    """Return InfoNCE of the comparisons of a sequence, NaN if there are none.

    Parameters
    ----------
    comparisons : iterator of Comparison
    temperature : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is not finite.
    """
    total, n_pairs = 0.0, 0
    for _, positive, negatives, weights in comparisons:
        # Where no reference differs from the positive, guessing is the score: the
        # positive takes the place of a negative.
        n_negatives = weights.sum(-1, keepdim=True)
        spare = (1 - n_negatives).clamp(min=0)
        margins = (negatives - positive[:, None]) / temperature
        margins = torch.cat([margins + weights.log(), spare.log()], 1)
        margin = margins.logsumexp(-1) - (n_negatives + spare)[:, 0].log()
        loss = F.softplus(math.log(SCORE_CANDIDATES - 1) + margin)
        total += float(loss.double().sum())
        n_pairs += len(loss)
    if not math.isfinite(total):
        raise ValueError("The model gives scores that are not finite.")
    return total / n_pairs if n_pairs else math.nan


def contrastive_accuracy(
    model: Model,
    source: Source,
    references: Tensor,
    inference: Inference,
    *,
    skip_steps: int,
) -> np.ndarray:
    """Return how often the true latent is closer to its prediction than all references.

    Parameters
    ----------
    model : Model
    source : Source
    references : Tensor of shape (R, D)
        What `reference_latents` returned.
    inference : Inference
    skip_steps : int

    Returns
    -------
    ndarray of shape (K,), float64
        By step ahead; NaN for a step for which no sequence is long enough.
    """
    prediction_steps = model.prediction_steps

    def count(comparisons: Iterator[Comparison]) -> np.ndarray:
        """Count right predictions and all predictions, by step ahead."""
        counts = np.zeros((2, prediction_steps))
        for step, positive, negatives, weights in comparisons:
            if not torch.isfinite(positive).all():
                raise ValueError("The model gives predictions that are not finite.")
            others = negatives.masked_fill(weights == 0, -torch.inf).amax(-1)
            possible = weights.amax(-1) > 0
            right = possible & (positive > others)
            for row, chosen in zip(counts, (right, possible), strict=True):
                row += (
                    torch.bincount(step[chosen], minlength=prediction_steps)
                    .cpu()
                    .numpy()
                )
        return counts

    compare = _Comparer(model, references.to(inference.device), skip_steps)
    counts = compare.each(count, source, inference)
    n_right, n_possible = np.sum(counts, axis=0)
    unknown = np.full(prediction_steps, np.nan)
    np.divide(n_right, n_possible, out=unknown, where=n_possible > 0)
    return unknown


class _Comparer(NamedTuple):
    """Compares the predictions of sequences with references."""

    model: Model
    references: Tensor
    skip_steps: int

    def each(
        self,
        function: Callable[[Iterator[Comparison]], Result],
        source: Source,
        inference: Inference,
    ) -> list[Result]:
        """Return the result of `function` for the comparisons of every sequence."""
        model = self.model.eval()

        def compare(z: Tensor, c: Tensor, n_latents: Tensor) -> list[Result]:
            return [
                function(self.comparisons(model.paths(z[i, :n], c[i, :n])))
                for i, n in enumerate(n_latents.tolist())
            ]

        def of_batch(x: Tensor, lengths: Tensor) -> list[Result]:
            z = model.encoder(x)  # (B, T', D), or (B, R, Q, D) for images
            c = model.context(z)  # (B, T', H)
            return compare(z, c, latent_lengths(lengths, model.downsampling))

        def of_pieces(pieces: Pieces) -> list[Result]:
            z, c, lengths = encoded_pieces(model, pieces)
            return compare(z, c, latent_lengths(lengths, model.downsampling))

        results: dict[int, Result] = {}
        in_pieces = of_pieces if can_advance(model) else None
        for rows, outputs in run(of_batch, source, inference, in_pieces=in_pieces):
            results.update(zip(rows.tolist(), outputs, strict=True))
        return [results[row] for row in range(len(source))]

    def comparisons(self, paths: Iterable[Path]) -> Iterator[Comparison]:
        """Yield the comparisons along all paths of one sample, some anchors at once."""
        for z, c, predictor in paths:  # (S, T', D), (S, T', H)
            n_sequences, n_steps, _ = z.shape
            for start in range(0, n_steps, SCORE_ANCHORS):
                anchors = c[:, start : start + SCORE_ANCHORS]
                predictions = predictor(anchors)  # (S, A, K, D)
                _, n_anchors, prediction_steps, _ = predictions.shape
                anchor = torch.arange(start, start + n_anchors, device=z.device)
                ahead = torch.arange(prediction_steps, device=z.device)
                target = anchor[:, None] + ahead + 1 + self.skip_steps  # (A, K)
                valid = target < n_steps
                step = ahead.expand(n_anchors, -1)[valid].repeat(n_sequences)
                p, z_target = predictions[:, valid], z[:, target[valid]]
                yield Comparison(step, *self._cosines(p, z_target))

    def _cosines(
        self, predictions: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compare predictions (S, M', D) with their targets and the references."""
        with torch.autocast(targets.device.type, enabled=False):
            # Apple's devices have no float64.
            exact = torch.float32 if targets.device.type == "mps" else torch.float64
            p, positive, references = (
                F.normalize(vectors.to(exact), dim=-1)
                for vectors in (
                    predictions.flatten(0, 1),  # (M, D)
                    targets.flatten(0, 1),
                    self.references,
                )
            )
            # Similar latents, not similar scores, mean the positive itself.
            distance = 1 - positive @ references.T  # (M, R)
            weights = ((distance - SAME) / (OTHER - SAME)).clamp(0, 1)
            negatives = p.float() @ references.float().T
            return (p * positive).sum(-1).float(), negatives, weights.float()
