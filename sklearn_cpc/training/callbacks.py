"""Callbacks of the training loop."""

import copy
import math
from collections.abc import Callable
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


class FitTasks(Callback):
    """Make every epoch a task of scikit-learn's callbacks (1.9 and later).

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        The task that `fit` is.
    estimator : BaseEstimator
        Passed to the callbacks.
    fit_data : tuple of X and y
        Likewise.
    fitted_attributes : callable
        ``net -> dict`` of what makes a fitted estimator; called if one is asked for.
    """

    def __init__(
        self,
        context: Any,
        estimator: Any,
        fit_data: tuple[Any, Any],
        fitted_attributes: Callable[[Any], dict[str, Any]],
    ) -> None:
        self.context = context
        self.estimator = estimator
        self.X, self.y = fit_data
        self.fitted_attributes = fitted_attributes

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin a task."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End it; stop, in skorch's way, if a callback wants to."""

        def attributes() -> dict[str, Any]:
            kept = copy.copy(net)  # the callback may keep it, the training goes on
            kept.module_ = copy.deepcopy(net.module_)
            return self.fitted_attributes(kept)

        if self.end(self.task_, attributes):
            raise KeyboardInterrupt

    def end(self, task: Any, attributes: Any) -> bool:
        """End a task with what makes a fitted estimator."""
        return task.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            y=self.y,
            reconstruction_attributes=attributes,
        )


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
