"""InfoNCE over all pairs of a batch, value and gradient in one pass.

`info_nce` under autograd writes a dozen tensors as large as all predictions;
moving them through memory takes several times as long as the products. Here a
chunk of anchors small enough for the cache goes all the way from predictions to
gradients before the next one starts: three matrix products, no stored scores.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Scores computed at once. On a CPU a chunk should stay in the second-level
# cache (256 KiB of float32 here); on a GPU larger ones keep it busy.
CPU_CHUNK = 2**16
GPU_CHUNK = 2**24


def fused_info_nce(
    predictions: Tensor,
    latents: Tensor,
    positive: Tensor,
    negative: Tensor,
    column: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    normalize: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of the losses and which positives came first.

    Parameters
    ----------
    predictions : Tensor of shape (G, M, D), float32
        Predicted latents.
    latents : Tensor of shape (P, D), float32
        All latents, normalised if need be and divided by the temperature.
    positive : Tensor of shape (G, M)
        Row of `latents` that each prediction should match.
    negative : Tensor of shape (G, N)
        Rows of `latents` that the M predictions of a group share as candidates.
    column : Tensor of shape (G, M)
        Candidate that the positive replaces, see `info_nce`.
    mask : Tensor of shape (G, N) or None
        True for the candidates to use.
    weight : Tensor of shape (G, M), float32
        Weight of each prediction in the sum.
    normalize : bool, default=True
        Whether to L2-normalise `predictions`.

    Returns
    -------
    loss : Tensor, scalar
        Differentiable once, in `predictions` and `latents`.
    correct : Tensor of shape (G, M), dtype bool
        Whether the positive has the highest score (the first of equal ones).
    """
    return _FusedInfoNCE.apply(
        predictions, latents, positive, negative, column, mask, weight, normalize
    )


class _FusedInfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        predictions: Tensor,
        latents: Tensor,
        positive: Tensor,
        negative: Tensor,
        column: Tensor,
        mask: Tensor | None,
        weight: Tensor,
        normalize: bool,
    ) -> tuple[Tensor, Tensor]:
        n_groups, n_anchors, _ = predictions.shape
        chunk = CPU_CHUNK if predictions.device.type == "cpu" else GPU_CHUNK
        n_rows = max(1, chunk // negative.shape[1])
        need_grad = any(ctx.needs_input_grad)
        d_predictions = torch.empty_like(predictions)
        d_latents = torch.zeros_like(latents)
        loss = weight.new_zeros(())
        correct = torch.empty_like(positive, dtype=torch.bool)
        for g in range(n_groups):
            candidates = latents[negative[g]]  # (N, D)
            d_candidates = torch.zeros_like(candidates)
            for start in range(0, n_anchors, n_rows):
                rows = (g, slice(start, start + n_rows))
                p, col, w = predictions[rows], column[rows][:, None], weight[rows]
                if normalize:
                    inverse_norm = p.norm(dim=1, keepdim=True).clamp_min_(1e-12)
                    inverse_norm.reciprocal_()
                    p = p * inverse_norm
                z = latents[positive[rows]]  # (R, D)
                score = torch.linalg.vecdot(p, z)[:, None]  # (R, 1)
                logits = p @ candidates.T  # (R, N)
                if mask is not None:
                    logits.masked_fill_(~mask[g], -torch.inf)
                logits.scatter_(1, col, score)
                largest, first = logits.max(dim=1, keepdim=True)
                correct[rows] = (first == col)[:, 0]
                softmax = logits.sub_(largest).exp_()
                total = softmax.sum(1, keepdim=True)
                loss += w @ (total.log() + largest - score)[:, 0]
                if not need_grad:
                    continue
                # d loss / d score = softmax - 1 at the positive, softmax elsewhere.
                softmax *= w[:, None] / total
                d_score = softmax.gather(1, col) - w[:, None]  # (R, 1)
                softmax.scatter_(1, col, 0.0)
                d_p = (d_score * z).addmm_(softmax, candidates)
                d_candidates.addmm_(softmax.T, p)
                d_latents.index_add_(0, positive[rows], d_score * p)
                if normalize:
                    along = torch.linalg.vecdot(d_p, p)[:, None]
                    d_p = d_p.addcmul_(p, along, value=-1).mul_(inverse_norm)
                d_predictions[rows] = d_p
            d_latents.index_add_(0, negative[g], d_candidates)
        ctx.gradients = d_predictions, d_latents
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * d_loss for gradient in ctx.gradients), *[None] * 6
