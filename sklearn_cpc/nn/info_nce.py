"""The InfoNCE loss (van den Oord, Li, Vinyals 2018, eq. 4)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class SharedNegatives(NamedTuple):
    """Latents that M predictions share as candidates, the positives of some among them.

    Parameters
    ----------
    latents : Tensor of shape (..., N, D)
        The candidates.
    positive_column : Tensor of shape (..., M), dtype int64, default=None
        The candidate that each prediction must not see as a negative. The score of its
        positive replaces the score of this candidate, which leaves N - 1 negatives.
        None if no candidate is a positive.
    mask : Tensor of shape (..., N), dtype bool, default=None
        True for the candidates to use. None uses all.
    """

    latents: Tensor
    positive_column: Tensor | None = None
    mask: Tensor | None = None


def candidate_logits(
    predictions: Tensor,
    positives: Tensor,
    negatives: Tensor | SharedNegatives,
    *,
    temperature: float = 0.1,
    normalize: bool = True,
) -> tuple[Tensor, Tensor]:
    """Score the positive and the shared negatives of every prediction.

    The parameters are explained under `info_nce`.

    Returns
    -------
    logits : Tensor of shape (..., M, N) or (..., M, N + 1)
        Scores of all candidates, the positive among them, in float32. A masked
        candidate has the score minus infinity.
    positive_column : Tensor of shape (..., M)
        The column of `logits` that holds the positive.
    """
    if isinstance(negatives, Tensor):
        negatives = SharedNegatives(negatives)
    latents, positive_column, mask = negatives
    predictions, positives, latents = (
        h.float() for h in (predictions, positives, latents)
    )
    if normalize:
        predictions, positives, latents = (
            F.normalize(h, dim=-1) for h in (predictions, positives, latents)
        )
    predictions = predictions / temperature
    positive = (predictions * positives).sum(-1, keepdim=True)  # (..., M, 1)
    logits = predictions @ latents.transpose(-2, -1)  # (..., M, N)
    if mask is not None:
        logits = logits.masked_fill(~mask[..., None, :], -torch.inf)
    if positive_column is None:
        positive_column = torch.full_like(positive[..., 0], logits.shape[-1]).long()
        return torch.cat([logits, positive], dim=-1), positive_column
    # In place: the product's backward pass does not need its output, and a copy
    # would double the largest tensor of the whole training step.
    logits.scatter_(-1, positive_column[..., None], positive)
    return logits, positive_column


def info_nce(
    predictions: Tensor,
    positives: Tensor,
    negatives: Tensor | SharedNegatives,
    *,
    temperature: float = 0.1,
    normalize: bool = True,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""InfoNCE: cross-entropy of the positive among candidates for one prediction.

    For a prediction :math:`p`, its positive :math:`z_0` and negatives
    :math:`z_1 \dots z_N`, with :math:`\tau` the temperature,

    .. math:: -\log \frac{\exp(\langle p, z_0 \rangle / \tau)}
                         {\sum_{j=0}^{N} \exp(\langle p, z_j \rangle / \tau)}

    The softmax runs over the candidates of one prediction, never over the
    predictions for one candidate. The M predictions of a group share the N
    negatives, so that all scores are one matrix product.

    Parameters
    ----------
    predictions : Tensor of shape (..., M, D)
        Predicted latents, ``W_k c_t``.
    positives : Tensor of shape (..., M, D)
        The latent that each prediction should match, ``z_{t+k}``.
    negatives : Tensor of shape (..., N, D) or SharedNegatives
        Latents of other positions, shared by the M predictions. `SharedNegatives` may
        hold the positives of some predictions, and latents to leave out.
    temperature : float, default=0.1
        Divides the scores.
    normalize : bool, default=True
        Whether to L2-normalise predictions, positives and negatives, so that
        scores are cosines. False gives the paper's log-bilinear score.
    mask : Tensor of shape (..., M), dtype bool, default=None
        True for the predictions to use. None uses all.
    reduction : {"mean", "sum", "none"}, default="mean"
        "none" returns one value for each prediction, 0 where `mask` is False.

    Returns
    -------
    loss : Tensor
        In nats, float32 whatever the input. A scalar, or shape (..., M) with
        ``reduction="none"``. The mean over no prediction at all is 0.

    Raises
    ------
    ValueError
        If `temperature` is not positive or `reduction` is unknown.

    References
    ----------
    van den Oord, Li, Vinyals (2018), Representation Learning with Contrastive
    Predictive Coding, arXiv:1807.03748.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import info_nce
    >>> predictions = torch.eye(3)
    >>> loss = info_nce(predictions, predictions, -predictions, temperature=1.0)
    >>> round(float(loss), 4)
    0.6265
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}.")
    logits, positive_column = candidate_logits(
        predictions,
        positives,
        negatives,
        temperature=temperature,
        normalize=normalize,
    )
    loss = cross_entropy(logits, positive_column)
    if mask is not None:
        loss = torch.where(mask, loss, 0.0)
    match reduction:
        case "none":
            return loss
        case "sum":
            return loss.sum()
        case "mean":
            return loss.mean() if mask is None else loss.sum() / mask.sum().clamp(min=1)
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")


def cross_entropy(logits: Tensor, positive_column: Tensor) -> Tensor:
    """Return ``log sum exp(logits) - logits[positive_column]``, shape (..., M)."""
    positive = logits.gather(-1, positive_column[..., None])[..., 0]
    return logits.logsumexp(-1) - positive
