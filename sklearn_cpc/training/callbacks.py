"""Callbacks of the training loop."""

import copy
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from skorch.callbacks import Callback

from .fitted import Fitted
from .net import CPCNet
from .progress import Progress
from .state import Net, n_updates


class EpochProgress(Callback):
    """A progress bar over epochs with the loss and the contrastive accuracy."""

    def on_train_begin(self, net: Net, **kwargs: Any) -> None:
        """Open the bar."""
        self._n_before = len(net.history)
        self._bar = Progress(net.max_epochs, "epoch")

    def on_epoch_end(self, net: Net, **kwargs: Any) -> None:
        """Advance the bar."""
        epoch = net.history[-1]
        values = {"loss": epoch["train_loss"], "accuracy": epoch["train_accuracy"]}
        if "valid_score" in epoch:
            values["valid_score"] = epoch["valid_score"]
        # A fit that resumes from a checkpoint has several new epochs at once.
        n_new = len(net.history) - self._n_before - self._bar.n
        self._bar.advance(n_new, **values)

    def on_train_end(self, net: Net, **kwargs: Any) -> None:
        """Close the bar; an open one could not be copied."""
        self._bar.close()
        del self._bar


class FitTasks(Callback):
    """Makes every epoch a task of scikit-learn's callbacks (1.9 and later).

    Parameters
    ----------
    estimator : BaseEstimator
        Passed to the callbacks.
    X, y : Any
        What the user passed to `fit`, likewise.
    attributes_of : callable
        ``Fitted -> dict``: the attributes of the fitted estimator. It is called if a
        callback asks for them.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        X: Any,
        y: Any,
        attributes_of: Callable[[Fitted], dict[str, Any]],
    ) -> None:
        self.estimator = estimator
        self.X, self.y = X, y
        self.attributes_of = attributes_of

    def begin(self, max_epochs: int, fitted: Callable[[CPCNet], Fitted]) -> None:
        """Begin the task of the fit.

        Parameters
        ----------
        max_epochs : int
            Number of tasks within it.
        fitted : callable
            Returns what the fit has made so far.
        """
        self._fitted = fitted
        self._context = self.estimator._init_callback_context(max_subtasks=max_epochs)
        self._context.call_on_fit_task_begin(
            estimator=self.estimator, X=self.X, y=self.y
        )

    def on_epoch_begin(self, net: Net, **kwargs: Any) -> None:
        """Begin the task of an epoch."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_end(self, net: CPCNet, **kwargs: Any) -> None:
        """End the task; a KeyboardInterrupt stops skorch if a callback wants that."""

        def attributes() -> dict[str, Any]:
            kept = copy.copy(net)  # the callback may keep it, and training continues
            kept.module_ = copy.deepcopy(net.module_)
            return self.attributes_of(self._fitted(kept))

        if self._end(self._task, attributes):
            raise KeyboardInterrupt

    def end(self, fitted: Fitted) -> None:
        """End the task of the fit."""
        self._end(self._context, self.attributes_of(fitted))

    def _end(self, task: Any, attributes: Any) -> bool:
        """End a task; return whether a callback wants to stop."""
        stop: bool = task.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            y=self.y,
            reconstruction_attributes=attributes,
        )
        return stop


class WarmUp(Callback):
    """Reduces the learning rate of the first updates of a model.

    The warm-up multiplies the present rate by a factor that rises to 1. A schedule of
    the learning rate works as it would alone. The factor depends on the number of
    updates so far only, not on how many will follow: a fit that continues equals a
    longer fit.

    Parameters
    ----------
    n_updates : int, default=20
        Updates until the full rate, from the first one of the model.
    """

    def __init__(self, n_updates: int = 20) -> None:
        self.n_updates = n_updates

    def on_train_begin(self, net: Net, **kwargs: Any) -> None:
        """Count the updates so far."""
        self.update_ = n_updates(net.optimizer_)

    def on_batch_begin(self, net: Net, training: bool = True, **kwargs: Any) -> None:
        """Reduce the learning rate for this update."""
        self.update_ += 1
        groups = net.optimizer_.param_groups
        self._rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] *= min(1, self.update_ / self.n_updates)

    def on_batch_end(self, net: Net, training: bool = True, **kwargs: Any) -> None:
        """Put the rate back, before a schedule changes it."""
        for group, rate in zip(net.optimizer_.param_groups, self._rates, strict=True):
            group["lr"] = rate
