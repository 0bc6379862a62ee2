"""Callbacks of the training loop."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback
from tqdm import TqdmWarning

from .state import n_updates


class EpochProgress(Callback):
    """A progress bar over epochs with the loss and the contrastive accuracy."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        self._n_before = len(net.history)
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, the bar is made of text.
            warnings.simplefilter("ignore", TqdmWarning)
            from tqdm.auto import tqdm
        self._bar = tqdm(total=net.max_epochs, desc="CPC", unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance it."""
        epoch = net.history[-1]
        values = {"loss": epoch["train_loss"], "accuracy": epoch["train_accuracy"]}
        if "valid_score" in epoch:
            values["valid_score"] = epoch["valid_score"]
        self._bar.set_postfix(values, refresh=False)
        # More than one after a fit that went on from a checkpoint.
        self._bar.update(len(net.history) - self._n_before - self._bar.n)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave it as it is; an open bar could not be copied."""
        self._bar.close()
        del self._bar


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
        self._task = self.context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End it; stop, in skorch's way, if a callback wants to."""

        def attributes() -> dict[str, Any]:
            kept = copy.copy(net)  # the callback may keep it, the training goes on
            kept.module_ = copy.deepcopy(net.module_)
            return self.fitted_attributes(kept)

        if self.end(self._task, attributes):
            raise KeyboardInterrupt

    def end(self, task: Any, attributes: Any) -> bool:
        """End a task with what makes a fitted estimator."""
        return task.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            y=self.y,
            reconstruction_attributes=attributes,
        )


class WarmUp(Callback):
    """Let the learning rate rise over the first updates of a model, then stay.

    What an update does depends only on the updates before it, not on how many are
    to come: training that goes on later is where a longer one would be.

    Parameters
    ----------
    n_updates : int, default=20
        Updates until the full rate, from the first one of the model.
    """

    def __init__(self, n_updates: int = 20) -> None:
        self.n_updates = n_updates

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Count the updates that the optimizer knows of."""
        self.update_ = n_updates(net.optimizer_)

    def on_batch_begin(self, net: Any, training: bool = True, **kwargs: Any) -> None:
        """Set the learning rate of this update."""
        self.update_ += 1
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * min(1, self.update_ / self.n_updates)
