"""InfoNCE over all pairs of a batch, value and gradient in one pass.

`info_nce` under autograd writes a dozen tensors as large as all predictions. Moving
them through memory takes several times as long as the products. Here, a chunk of
anchors that fits into the cache goes all the way from predictions to gradients before
the next one starts: three matrix products, and no scores are stored.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Numbers that a chunk of anchors computes with at once. On a CPU they should stay in
# the second-level cache (1 MiB of float32 here); on a GPU larger chunks keep it busy.
CPU_CHUNK = 2**18
GPU_CHUNK = 2**24
# Replaces minus infinity, which times zero is NaN.
LOWEST = torch.finfo(torch.float32).min


class Pairs(NamedTuple):
    """What each of M predictions is compared with, in G pools of candidates.

    Attributes
    ----------
    positive : Tensor of shape (M,)
        Row of the latents that each prediction should match.
    negative : Tensor of shape (G, N)
        Rows of the latents that are the candidates of each pool.
    ends : list of int
        The pool i serves the predictions from ``ends[i - 1]`` to ``ends[i]``.
    column : Tensor of shape (M,)
        Candidate that the positive replaces; see `SharedNegatives`.
    mask : Tensor of shape (G, N) or None
        True for the candidates to use.
    weight : Tensor of shape (M,), float32
        Weight of each prediction in the sum.
    """

    positive: Tensor
    negative: Tensor
    ends: list[int]
    column: Tensor
    mask: Tensor | None
    weight: Tensor


def fused_info_nce(
    predictions: Tensor, latents: Tensor, pairs: Pairs, normalize: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of the losses and which positives came first.

    Parameters
    ----------
    predictions : Tensor of shape (M, D), float32
        Predicted latents, those of a pool side by side.
    latents : Tensor of shape (P, D), float32
        All latents, normalised if need be and divided by the temperature.
    pairs : Pairs
        What each prediction is compared with.
    normalize : bool, default=True
        Whether to L2-normalise `predictions`.

    Returns
    -------
    loss : Tensor, scalar
        Differentiable once, in `predictions` and `latents`.
    correct : Tensor of shape (M,), dtype bool
        Whether the score of the positive is above the scores of all other candidates.
    """
    loss: Tensor
    correct: Tensor
    loss, correct = _FusedInfoNCE.apply(  # type: ignore[no-untyped-call]
        predictions, latents, pairs, normalize
    )
    return loss, correct


class _FusedInfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, predictions: Tensor, latents: Tensor, pairs: Pairs, normalize: bool
    ) -> tuple[Tensor, Tensor]:
        positive, negative, ends, column, mask, weight = pairs
        n_predictions, size = predictions.shape
        n_candidates = negative.shape[1]
        chunk = CPU_CHUNK if predictions.device.type == "cpu" else GPU_CHUNK
        # With fewer rows, reading all candidates for every chunk would cost more than
        # the products. The scores take as much memory as the candidates then.
        n_rows = max(chunk // (n_candidates + 2 * size), min(size, chunk))
        n_rows = max(1, min(n_rows, n_predictions))
        need_grad = any(ctx.needs_input_grad)
        d_predictions = torch.empty_like(predictions if need_grad else predictions[:0])
        d_latents = torch.zeros_like(latents)
        # For each prediction: its score, the best other one, the highest probability.
        score, rival, top = predictions.new_empty(3, n_predictions)
        buffers = predictions.new_empty(2, n_rows, size)
        for g, (begin, end) in enumerate(pairwise([0, *ends])):
            candidates = latents[negative[g]]  # (N, D)
            d_candidates = torch.zeros_like(candidates)
            for start in range(begin, end, n_rows):
                rows = slice(start, min(start + n_rows, end))
                p, w = predictions[rows], weight[rows][:, None]
                at, col = positive[rows], column[rows][:, None]
                z, product = buffers[:, : len(p)]
                torch.index_select(latents, 0, at, out=z)  # (R, D)
                torch.sum(torch.mul(p, z, out=product), 1, out=score[rows])
                s = score[rows][:, None]  # (R, 1)
                logits = p @ candidates.T  # (R, N)
                if normalize:
                    # Scale the scores and gradients instead of the vectors.
                    inverse_norm = p.norm(dim=1, keepdim=True).clamp_min_(1e-12)
                    inverse_norm.reciprocal_()
                    logits *= inverse_norm
                    s *= inverse_norm
                    w = w * inverse_norm
                if mask is not None:
                    logits.masked_fill_(~mask[g], LOWEST)
                torch.amax(logits.scatter_(1, col, LOWEST), 1, out=rival[rows])
                softmax = torch.softmax(logits.scatter_(1, col, s), 1)
                torch.amax(softmax, 1, out=top[rows])
                if not need_grad:
                    continue
                # d loss / d score = softmax - 1 at the positive, softmax elsewhere.
                d_score = (softmax.gather(1, col) - 1).mul_(w)  # (R, 1)
                d_logits = softmax.scatter_(1, col, 0.0).mul_(w)
                d_p = torch.mul(z, d_score, out=d_predictions[rows])
                d_p.addmm_(d_logits, candidates)
                d_candidates.addmm_(d_logits.T, p)
                d_latents.index_add_(0, at, torch.mul(p, d_score, out=product))
                if normalize:
                    along = d_logits.mul_(logits).sum(1, keepdim=True)
                    along.addcmul_(d_score, s).mul_(inverse_norm)
                    d_p.addcmul_(p, along, value=-1)
            d_latents.index_add_(0, negative[g], d_candidates)
        correct = score > rival
        # The highest probability is 1 / sum exp(logits - largest).
        loss = (weight * (torch.maximum(score, rival) - score - top.log())).sum()
        ctx.gradients = d_predictions, d_latents
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        d_predictions, d_latents = ctx.gradients
        if d_loss.device.type != "cpu" or d_loss != 1:  # usually 1: save the copies
            d_predictions, d_latents = d_predictions * d_loss, d_latents * d_loss
        return d_predictions, d_latents, None, None
