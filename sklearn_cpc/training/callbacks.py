"""Callbacks of the training loop."""

import math
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class EpochProgress(Callback):
    """A progress bar over epochs with the loss and the contrastive accuracy."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, desc="CPC", unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance it."""
        epoch = net.history[-1]
        values = {"loss": epoch["train_loss"], "accuracy": epoch["train_accuracy"]}
        if "valid_score" in epoch:
            values["valid_score"] = epoch["valid_score"]
        self.bar_.set_postfix(values, refresh=False)
        self.bar_.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave it as it is; an open bar could not be pickled."""
        self.bar_.close()
        del self.bar_


class CosineSchedule(Callback):
    """Linear warm-up, then half a cosine down to zero, update by update.

    Parameters
    ----------
    warmup : float, default=0.1
        Part of all updates over which the learning rate rises.
    """

    def __init__(self, warmup: float = 0.1) -> None:
        self.warmup = warmup

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Count the updates to come; `X` holds the batches of an epoch."""
        self.n_updates_ = net.max_epochs * len(X[0])
        self.update_ = 0

    def on_batch_begin(self, net: Any, training: bool = True, **kwargs: Any) -> None:
        """Set the learning rate of this update."""
        n_warmup = max(1, round(self.warmup * self.n_updates_))
        progress = (self.update_ - n_warmup) / max(1, self.n_updates_ - n_warmup)
        factor = (
            (self.update_ + 1) / n_warmup
            if self.update_ < n_warmup
            else (1 + math.cos(math.pi * progress)) / 2
        )
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * factor
        self.update_ += 1
