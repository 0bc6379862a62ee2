"""The losses that `bench_step.py` compares: InfoNCE of anchors, steps ahead, negatives.

Each takes contexts and latents, ``(B, T', D)``, the matrices W_k, and their predictions
``(B, T' - 1, K, D)`` or None, to be made first, and returns the loss. The last position
of a sample has nothing to predict.
"""

import importlib.util

import torch
from torch.nn import functional as F

from sklearn_cpc.nn import CPCLoss, CPCOutput
from sklearn_cpc.nn.predictors import Predictor

# Samples, steps, dimensions, steps ahead and negatives.
N_SAMPLES, N_STEPS, SIZE, N_AHEAD, N_NEGATIVES = 8, 128, 256, 12, 128


def gathering_loss(c, z, predictor, predictions):
    """InfoNCE as published code has it: negatives gathered by anchor, step by step.

    Temperature and cosines are those of `CPCLoss`, so that the work is the same but for
    the gathering.
    """
    latents = z.flatten(0, 1)  # (B T', D)
    if predictions is None:
        predictions = predictor(c)
    losses = []
    for k in range(N_AHEAD):
        prediction = predictions[:, : N_STEPS - k - 1, k].reshape(-1, SIZE)  # (M, D)
        positive = z[:, k + 1 :].reshape(-1, 1, SIZE)
        drawn = torch.randint(len(latents), (len(prediction), N_NEGATIVES))
        candidates = torch.cat([positive, latents[drawn]], 1)  # (M, 1 + N, D)
        logits = torch.einsum(
            "md,mnd->mn",
            F.normalize(prediction, dim=-1),
            F.normalize(candidates, dim=-1),
        )
        target = torch.zeros(len(prediction), dtype=torch.long)
        losses.append(F.cross_entropy(logits / 0.1, target, reduction="sum"))
    n_pairs = N_SAMPLES * sum(N_STEPS - k - 1 for k in range(N_AHEAD))
    return torch.stack(losses).sum() / n_pairs


def pip_loss(c, z, predictor, predictions):
    """`info_nce.InfoNCE` with shared negatives, step by step."""
    from info_nce import InfoNCE

    loss = InfoNCE(negative_mode="unpaired", temperature=0.1)
    if predictions is None:
        predictions = predictor(c)
    latents = z.flatten(0, 1)
    negatives = latents[torch.randperm(len(latents))[:N_NEGATIVES]]
    losses = [
        loss(
            predictions[:, : N_STEPS - k - 1, k].reshape(-1, SIZE),
            z[:, k + 1 :].reshape(-1, SIZE),
            negatives,
        )
        for k in range(N_AHEAD)
    ]
    return torch.stack(losses).mean()


class Given(Predictor):
    """Predictions that lie ready, whatever the contexts are."""

    def __init__(self, predictions):
        super().__init__()
        self.predictions = predictions.flatten(0, 1)
        self.prediction_steps = N_AHEAD

    def forward(self, c):
        """Return the predictions of each anchor and step ahead."""
        assert len(c) == len(self.predictions)
        return self.predictions


def own_loss(c, z, predictor, predictions):
    """`CPCLoss`."""
    lengths = torch.full((len(z),), z.shape[1])
    if predictions is None:
        output = CPCOutput(z, c, predictor, lengths)
    else:
        output = CPCOutput(z, c, Given(predictions), lengths)
    return CPCLoss(n_negatives=N_NEGATIVES)(output).loss


LOSSES = {"sklearn_cpc": own_loss, "gathering": gathering_loss}
if importlib.util.find_spec("info_nce"):
    LOSSES["info-nce-pytorch"] = pip_loss
