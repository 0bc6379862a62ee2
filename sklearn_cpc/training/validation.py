"""Validation: how well a net predicts sequences that it is not trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .batches import RandomCrops, Source
from .scores import reference_latents, score_samples


@dataclass(frozen=True)
class Validation:
    """The sequences that were set aside, and how they are scored.

    Attributes
    ----------
    batches : RandomCrops
        Those of the training part, whose latents the predictions compete with.
    source : Source
        What was set aside.
    options : dict
        Further ones of `sklearn_cpc.training.scores.score_samples`.
    """

    batches: RandomCrops
    source: Source
    options: dict[str, Any]

    def score(self, net: Any) -> float:
        """Return the mean score with the weights of `net` as they are now."""
        run = {
            "device": net.device,
            "autocast": net.autocast,
        }
        references = reference_latents(
            net.module_, self.batches.source, size=self.batches.crop_length, **run
        )
        scores = score_samples(
            net.module_, self.source, references, **self.options, **run
        )
        if np.isnan(scores).all():
            raise ValueError(
                f"None of the {len(scores)} sequences set aside for early_stopping is "
                "long enough for a single prediction. Use a larger "
                "validation_fraction, fewer skip_steps, or longer sequences."
            )
        return float(np.nanmean(scores))
