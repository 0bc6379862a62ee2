"""The training objective of CPC: InfoNCE over all steps ahead of all anchors."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .fused import fused_info_nce
from .negatives import WITHOUT_POSITIVE, positive_columns, sample_candidates


class LossOutput(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    loss : Tensor, scalar
        InfoNCE in nats, the mean over all valid pairs of anchor and step; with
        predictions of some samples only, their share of it.
    accuracy : Tensor of shape (K,)
        Fraction of anchors whose positive has the highest score, by step; NaN for
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
    """Return what several tasks give together: means over all of their pairs.

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


class CPCLoss(nn.Module):
    """InfoNCE between predictions and latents of a batch, with drawn negatives.

    Parameters
    ----------
    n_negatives : int or "all", default=128
        Negatives for each anchor; fewer if the batch has fewer.
    negatives : str, default="batch"
        Where they come from: a key of `sklearn_cpc.nn.negatives.POOLS`.
    skip_steps : int, default=0
        The first predicted latent is the one ``skip_steps + 1`` after the anchor.
    temperature : float, default=0.1
        Divides the scores.
    normalize : bool, default=True
        Whether scores are cosines.
    generator : torch.Generator, default=None
        Source of the draws, on the CPU. None uses torch's global one.

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
        self,
        z: Tensor,
        c: Tensor,
        predictions: Tensor,
        lengths: Tensor,
        sequences: Tensor | None = None,
        groups: Tensor | None = None,
        first: int = 0,
    ) -> LossOutput:
        """Compare every prediction with its latent and with the negatives.

        Parameters
        ----------
        z : Tensor of shape (B, T', D)
            Latents.
        c : Tensor of shape (B, T', H)
            Contexts; unused, so that a model's output can be passed on whole.
        predictions : Tensor of shape (B, T', K, D)
            Predicted latents; of fewer samples where other processes have the rest.
        lengths : Tensor of shape (B,)
            Number of valid latents of each sample. On a GPU, pass it on the
            CPU: the draws are made there.
        sequences : Tensor of shape (B,), default=None
            Number of the sequence that each sample is a window of, if several may
            be of the same one.
        groups : Tensor of shape (B,), default=None
            Group of each sample, for the strategies that use it.
        first : int, default=0
            Sample of the first of the predictions.

        Returns
        -------
        LossOutput
        """
        _, n_steps, n_ahead, size = predictions.shape
        positive, valid = positive_positions(lengths, n_steps, n_ahead, self.skip_steps)
        candidates = sample_candidates(
            lengths.cpu(),
            n_steps,
            strategy=self.negatives,
            n_negatives=self.n_negatives,
            sequences=None if sequences is None else sequences.cpu(),
            groups=None if groups is None else groups.cpu(),
            generator=self.generator,
        )
        index = candidates.position.to(z.device, non_blocking=True)  # (G, N)
        mask = candidates.mask
        n_groups = len(index)
        chance = math.log(index.shape[1])
        if mask is not None:
            # The spare column is the positive's; the others have it among them.
            n_candidates = mask.sum(1) + (self.negatives in WITHOUT_POSITIVE)  # (G,)
            usable = n_candidates > 1  # a sample may be alone in its group
            valid = valid & usable.repeat_interleave(len(z) // n_groups)[:, None, None]
            chance = float(n_candidates[usable].log().mean()) if usable.any() else 0.0
            mask = mask.to(z.device, non_blocking=True)
        n_pairs = valid.sum((0, 1))  # (K,)
        # Everything is drawn and counted for the whole batch; from here on, b of B.
        here = slice(first, first + len(predictions))
        positive, valid = positive[here], valid[here]
        if n_groups > 1:
            index, mask = index[here], None if mask is None else mask[here]

        n_groups = len(index)
        weight = (valid / n_pairs.sum().clamp(min=1)).view(n_groups, -1)  # (G, M)
        positive = positive.reshape(n_groups, -1)  # (G, M)
        pairs = predictions.float().view(n_groups, -1, size)  # (G, M, D)
        used = torch.arange(positive.shape[1])
        if n_groups == 1 and 2 * valid.sum() < valid.numel():  # mostly padding
            used = valid.flatten().nonzero()[:, 0]  # (M',)
            positive, weight = positive[:, used], weight[:, used]
            pairs = pairs[:, used.to(z.device, non_blocking=True)]
        positive, weight = positive.to(z.device), weight.to(z.device)
        with torch.autocast(z.device.type, enabled=False):
            latents = z.float().flatten(0, 1)  # (B T', D)
            scale = torch.tensor(1 / self.temperature)
            if self.normalize:  # both in one pass
                scale = scale / latents.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            loss, correct = fused_info_nce(
                pairs,
                latents * scale,
                positive,
                index,
                positive_columns(positive, index, len(latents)),
                mask,
                weight,
                self.normalize,
            )
        # Pair i of a group is of the step ahead i modulo K.
        right = correct & (weight > 0)  # (G, M')
        step = (used % n_ahead).to(z.device).expand_as(right)
        n_right = torch.bincount(step[right], minlength=n_ahead)  # (K,)
        n_pairs = n_pairs.to(z.device)
        accuracy = n_right / n_pairs
        return LossOutput(loss, accuracy, n_pairs, chance)


def positive_positions(
    lengths: Tensor, n_steps: int, n_ahead: int, skip_steps: int
) -> tuple[Tensor, Tensor]:
    """Return where the positives are, and which of them exist.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of valid latents of each sample.
    n_steps : int
        Number of latents of a padded sample, T'.
    n_ahead : int
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
    step = torch.arange(n_steps)[:, None] + torch.arange(n_ahead) + 1 + skip_steps
    start = torch.arange(len(lengths))[:, None, None] * n_steps
    position = start + step.clamp(max=n_steps - 1)  # (B, T', K)
    valid = step < lengths.cpu()[:, None, None]  # (B, T', K)
    return position, valid
