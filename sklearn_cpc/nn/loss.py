"""The training objective of CPC: InfoNCE over all steps ahead of all anchors."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .fused import Pairs, fused_info_nce
from .model import CPCOutput
from .negatives import NEGATIVES, Origin, positive_columns, sample_candidates
from .registry import register


class LossOutput(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    loss : Tensor, scalar
        InfoNCE in nats: the mean over all valid pairs of anchor and step, or the share
        of it that the given predictions have.
    accuracy : Tensor of shape (K,)
        Fraction of anchors with the highest score for their positive, by step; NaN for
        a step without pairs. Likewise a share.
    n_pairs : Tensor of shape (K,)
        Number of anchors that have a positive, by step.
    chance : float
        The loss of guessing: the mean log of the number of candidates.
    """

    loss: Tensor
    accuracy: Tensor
    n_pairs: Tensor
    chance: float


def mean_output(outputs: Sequence[LossOutput]) -> LossOutput:
    """Return the means over the pairs of several outputs.

    Parameters
    ----------
    outputs : sequence of LossOutput
        At least one, of the same number of steps ahead.

    Returns
    -------
    LossOutput
    """
    n_pairs = torch.stack([output.n_pairs for output in outputs])  # (V, K)
    n_of_step = n_pairs.sum(0)
    share = n_pairs.sum(1) / n_of_step.sum().clamp(min=1)  # (V,)
    accuracy = torch.stack([output.accuracy for output in outputs]).nan_to_num()
    return LossOutput(
        (torch.stack([output.loss for output in outputs]) * share).sum(),
        (accuracy * n_pairs).sum(0) / n_of_step,
        n_of_step,
        sum(output.chance for output in outputs) / len(outputs),
    )


@register
class CPCLoss(nn.Module):
    """InfoNCE between predictions and latents of a batch, with drawn negatives.

    Parameters
    ----------
    n_negatives : int or "all", default=128
        Negatives for each anchor; fewer if the batch has fewer.
    negatives : str, default="batch"
        Where they come from: a key of `sklearn_cpc.nn.negatives.NEGATIVES`.
    skip_steps : int, default=0
        The first predicted latent is the one ``skip_steps + 1`` after the anchor.
    temperature : float, default=0.1
        Divides the scores.
    normalize : bool, default=True
        Whether scores are cosines.
    generator : torch.Generator, default=None
        Draws the negatives, on the CPU. None is torch's global one.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import CPC, CPCLoss
    >>> model = CPC.build(n_channels=3, n_timesteps=50)
    >>> x, lengths = torch.randn(8, 50, 3), torch.full((8,), 50)
    >>> output = CPCLoss()(*model(x, lengths))
    >>> output.loss.backward()
    """

    def __init__(
        self,
        *,
        n_negatives: int | str = 128,
        negatives: str = "batch",
        skip_steps: int = 0,
        temperature: float = 0.1,
        normalize: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.n_negatives = n_negatives
        self.negatives = negatives
        self.skip_steps = skip_steps
        self.temperature = temperature
        self.normalize = normalize
        self.generator = generator

    def forward(
        self, *outputs: CPCOutput, origin: Origin | None = None, first: int = 0
    ) -> LossOutput:
        """Compare every prediction with its latent and with the negatives.

        Parameters
        ----------
        *outputs : CPCOutput
            What a model returns: an output for each direction. The contexts are not
            used. The latents may belong to the whole batch, and the predictions to some
            of its samples. On a GPU, `lengths` should be on the CPU, where the
            negatives are drawn.
        origin : Origin, default=None
            Sequence and group of each sample of the whole batch. None takes each sample
            for a sequence and puts all into one group.
        first : int, default=0
            The sample that the predictions start with.

        Returns
        -------
        LossOutput
            Means over the pairs of all directions.
        """
        return mean_output([self._compare(output, origin, first) for output in outputs])

    def _compare(
        self, output: CPCOutput, origin: Origin | None, first: int
    ) -> LossOutput:
        """Compare the predictions of one direction."""
        z, _, predictions, lengths = output
        _, n_steps, prediction_steps, size = predictions.shape
        if origin is not None:
            # An image has as many sequences as the turned grid has columns.
            n_sequences = len(z) // len(origin.sequences)
            origin = Origin(*(label.repeat_interleave(n_sequences) for label in origin))
            first *= n_sequences
        positive, valid = positive_positions(
            lengths, n_steps, prediction_steps, self.skip_steps
        )
        position, mask = sample_candidates(
            lengths.cpu(),
            n_steps,
            strategy=self.negatives,
            n_negatives=self.n_negatives,
            origin=origin,
            generator=self.generator,
        )
        index = position.to(z.device, non_blocking=True)  # (G, N)
        n_groups = len(index)
        chance = math.log(index.shape[1])
        if mask is not None:
            # The positive takes the spare column, or is one of the candidates.
            spare = not NEGATIVES[self.negatives].may_hold_positive
            n_candidates = mask.sum(1) + spare  # (G,)
            usable = n_candidates > 1  # a sample may be alone in its group
            valid = valid & usable.repeat_interleave(len(z) // n_groups)[:, None, None]
            chance = float(n_candidates[usable].log().mean()) if usable.any() else 0.0
            mask = mask.to(z.device, non_blocking=True)
        n_pairs = valid.sum((0, 1))  # (K,)
        # Negatives and counts cover the whole batch. Below: the given predictions only.
        here = slice(first, first + len(predictions))
        positive, valid = positive[here], valid[here]
        if n_groups > 1:
            index, mask = index[here], None if mask is None else mask[here]

        n_groups = len(index)
        weight = (valid / n_pairs.sum().clamp(min=1)).view(n_groups, -1)  # (G, M)
        positive = positive.reshape(n_groups, -1)  # (G, M)
        predicted = predictions.float().view(n_groups, -1, size)  # (G, M, D)
        used = torch.arange(positive.shape[1])
        if n_groups == 1 and 2 * valid.sum() < valid.numel():  # mostly padding
            used = valid.flatten().nonzero()[:, 0]  # (M',)
            positive, weight = positive[:, used], weight[:, used]
            predicted = predicted[:, used.to(z.device, non_blocking=True)]
        positive, weight = positive.to(z.device), weight.to(z.device)
        with torch.autocast(z.device.type, enabled=False):
            latents = z.float().flatten(0, 1)  # (B T', D)
            scale = torch.tensor(1 / self.temperature)
            if self.normalize:  # both in one pass
                scale = scale / latents.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            column = positive_columns(positive, index, len(latents))
            loss, correct = fused_info_nce(
                predicted,
                latents * scale,
                Pairs(positive, index, column, mask, weight),
                self.normalize,
            )
        # Pair i of a group belongs to the step ahead i modulo K.
        right = correct & (weight > 0)  # (G, M')
        step = (used % prediction_steps).to(z.device).expand_as(right)
        n_right = torch.bincount(step[right], minlength=prediction_steps)  # (K,)
        n_pairs = n_pairs.to(z.device)
        return LossOutput(loss, n_right / n_pairs, n_pairs, chance)


def positive_positions(
    lengths: Tensor, n_steps: int, prediction_steps: int, skip_steps: int
) -> tuple[Tensor, Tensor]:
    """Return where the positives are, and which of them exist.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of valid latents of each sample.
    n_steps : int
        Number of latents of a padded sample, T'.
    prediction_steps : int
        Number of steps ahead, K.
    skip_steps : int
        Latents between an anchor and its first positive.

    Returns
    -------
    position : Tensor of shape (B, T', K)
        Index of the positive in the latents flattened to ``(B T', D)``.
    valid : Tensor of shape (B, T', K)
        False where the sequence has ended; the position there is arbitrary.
    """
    step = (
        torch.arange(n_steps)[:, None] + torch.arange(prediction_steps) + 1 + skip_steps
    )
    start = torch.arange(len(lengths))[:, None, None] * n_steps
    position = start + step.clamp(max=n_steps - 1)  # (B, T', K)
    valid = step < lengths.cpu()[:, None, None]  # (B, T', K)
    return position, valid
