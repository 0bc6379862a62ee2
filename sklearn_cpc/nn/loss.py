"""The training objective of CPC: InfoNCE over all steps ahead of all anchors."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .fused import Pairs, fused_info_nce
from .model import CPCOutput
from .negatives import (
    NEGATIVES,
    Origin,
    positive_columns,
    sample_anchors,
    sample_candidates,
)
from .registry import register


class LossOutput(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    loss : Tensor, scalar
        InfoNCE in nats: the mean over all valid pairs of anchor and step, or the share
        of it that the given contexts have.
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
    n_anchors : int or None, default=None
        Positions of a batch to predict from, drawn evenly. None takes all.
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
        n_anchors: int | None = None,
        skip_steps: int = 0,
        temperature: float = 0.1,
        normalize: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.n_negatives = n_negatives
        self.negatives = negatives
        self.n_anchors = n_anchors
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
            What a model returns: an output for each direction. The latents may belong
            to the whole batch, and the contexts to some of its samples. On a GPU,
            `lengths` should be on the CPU, where anchors and negatives are drawn.
        origin : Origin, default=None
            Sequence and group of each sample of the whole batch. None takes each sample
            for a sequence and puts all into one group.
        first : int, default=0
            The sample that the contexts start with.

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
        z, c, predictor, lengths = output
        n_steps, prediction_steps = z.shape[1], predictor.prediction_steps
        if origin is not None:
            # An image has as many sequences as the turned grid has columns.
            n_sequences = len(z) // len(origin.sequences)
            origin = Origin(*(label.repeat_interleave(n_sequences) for label in origin))
            first *= n_sequences
        lengths = lengths.cpu()
        anchor = sample_anchors(
            lengths,
            n_steps,
            skip_steps=self.skip_steps,
            n_anchors=self.n_anchors,
            generator=self.generator,
        )  # (A,)
        index, mask, pool = sample_candidates(
            lengths,
            n_steps,
            strategy=self.negatives,
            n_negatives=self.n_negatives,
            origin=origin,
            generator=self.generator,
        )
        positive, valid = positive_positions(
            anchor, lengths, n_steps, prediction_steps, self.skip_steps
        )  # (A, K)
        pool = pool[anchor // n_steps]  # (A,)
        chance = math.log(index.shape[1])
        if mask is not None:
            # The positive takes the spare column, or is one of the candidates.
            spare = not NEGATIVES[self.negatives].may_hold_positive
            n_candidates = mask.sum(1) + spare  # (G,)
            usable = n_candidates > 1  # a sample may be alone in its group
            valid &= usable[pool][:, None]
            chance = float(n_candidates[usable].log().mean()) if usable.any() else 0.0
            mask = mask.to(z.device, non_blocking=True)
        n_pairs = valid.sum(0)  # (K,)
        # Negatives and counts cover the whole batch. Below: the given contexts only.
        start, end = first * n_steps, (first + len(c)) * n_steps
        here = ((anchor >= start) & (anchor < end)).nonzero()[:, 0]
        here = here[pool[here].argsort(stable=True)]  # (A',), pool by pool
        n_of_pool = pool[here].bincount(minlength=len(index)) * prediction_steps
        positive, valid = positive[here].flatten(), valid[here].flatten()  # (M,)
        weight = (valid / n_pairs.sum().clamp(min=1)).to(z.device)
        pool = pool[here].repeat_interleave(prediction_steps).to(z.device)  # (M,)
        positive, index = positive.to(z.device), index.to(z.device, non_blocking=True)
        chosen = c.flatten(0, 1)[(anchor[here] - start).to(z.device)]  # (A', H)
        predicted = predictor(chosen).flatten(0, 1)  # (M, D)
        with torch.autocast(z.device.type, enabled=False):
            latents = z.float().flatten(0, 1)  # (B T', D)
            scale = torch.tensor(1 / self.temperature)
            if self.normalize:  # both in one pass
                scale = scale / latents.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            column = positive_columns(positive, pool, index, len(latents))
            ends = n_of_pool.cumsum(0).tolist()
            loss, correct = fused_info_nce(
                predicted.float(),
                latents * scale,
                Pairs(positive, index, ends, column, mask, weight),
                self.normalize,
            )
        right = (correct & (weight > 0)).view(-1, prediction_steps)
        n_pairs = n_pairs.to(z.device)
        return LossOutput(loss, right.sum(0) / n_pairs, n_pairs, chance)


def positive_positions(
    anchor: Tensor,
    lengths: Tensor,
    n_steps: int,
    prediction_steps: int,
    skip_steps: int,
) -> tuple[Tensor, Tensor]:
    """Return where the positives are, and which of them exist.

    Parameters
    ----------
    anchor : Tensor of shape (A,)
        Rows of the latents flattened to ``(B T', D)``.
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
    position : Tensor of shape (A, K)
        Row of each positive.
    valid : Tensor of shape (A, K)
        False where the sequence has ended; the position there is arbitrary.
    """
    ahead = torch.arange(prediction_steps) + 1 + skip_steps
    step = anchor[:, None] % n_steps + ahead  # (A, K)
    sample = anchor[:, None] // n_steps
    return sample * n_steps + step.clamp(max=n_steps - 1), step < lengths[sample]
