"""The skorch net that trains a CPC model."""

from contextlib import suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring

from ..nn.loss import mean_output


class _StopTraining(Exception):
    """A callback has asked to stop after this epoch."""


class CPCNet(NeuralNet):
    """`skorch.NeuralNet` for batches of windows and the contrastive loss.

    It differs from its base in its data, a pair of an iterator over batches, those
    of `RandomCrops`, and of a `Validation` or None; in recording the contrastive
    accuracy; in stopping when the loss is not finite; and in letting Ctrl-C through.

    Parameters
    ----------
    autocast : torch.dtype or None, default=None
        Lower precision for the forward pass; the loss stays in float32.
    accelerator : accelerate.Accelerator or None, default=None
        Takes over precision and the backward pass, in one process.
    **kwargs
        Those of `skorch.NeuralNet`.
    """

    def __init__(
        self,
        *args: Any,
        autocast: torch.dtype | None = None,
        accelerator: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.autocast = autocast
        self.accelerator = accelerator

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            (name, PassthroughScoring(name, lower_is_better, on_train=True))
            for name, lower_is_better in [
                ("train_loss", True),
                ("train_accuracy", False),
                ("train_chance", False),
            ]
        ]

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Return the batches and what is set aside for validation."""
        return X

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the batches, which iterate themselves, or the validation."""
        return dataset

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Train on all batches, or record ``valid_score``."""
        if training:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        elif iterator is not None:
            self.history.record("valid_score", iterator.score(self))

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; those of skorch stop with a KeyboardInterrupt."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            if method_name != "on_epoch_end":
                raise
            raise _StopTraining from None

    def infer(self, x: dict[str, torch.Tensor], **fit_params: Any) -> Any:
        """Run the model; lengths stay on the CPU, where negatives are drawn."""
        device = torch.device(self.device)
        with torch.autocast(device.type, self.autocast, self.autocast is not None):
            output = self.module_(x["x"].to(device, non_blocking=True), x["lengths"])
        # Where there are several directions to predict in, there is a list of outputs.
        return output if isinstance(output, list) else [output]

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients, through the accelerator if there is one."""
        if self.accelerator is None:
            return super().train_step_single(batch, **fit_params)
        self._set_training(True)
        inputs, origin = batch
        with self.accelerator.autocast():
            y_pred = self.infer(inputs, **fit_params)
        loss = self.get_loss(y_pred, origin, X=inputs, training=True)
        self.accelerator.backward(loss)
        return {"loss": loss, "y_pred": y_pred}

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        """Return InfoNCE and record the contrastive accuracy of the batch."""
        outputs = []
        for direction in y_pred:
            # An image is as many sequences as it has columns.
            repeats = len(direction.z) // len(y_true)
            sequences, groups = y_true.repeat_interleave(repeats, 0).unbind(1)
            outputs.append(
                self.criterion_(*direction, sequences=sequences, groups=groups)
            )
        output = mean_output(outputs)
        if not torch.isfinite(output.loss):
            raise ValueError(
                f"The loss became {output.loss.item()} in epoch {len(self.history)}. "
                "Use a smaller lr, a higher temperature, or scaling='channel'."
            )
        self.history.record_batch("train_chance", output.chance)
        weights = output.n_pairs / output.n_pairs.sum().clamp(min=1)
        accuracy = (output.accuracy.nan_to_num() * weights).sum()
        self.history.record_batch("train_accuracy", accuracy.item())
        return output.loss

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any
    ) -> "CPCNet":
        """Train for `max_epochs` more epochs; KeyboardInterrupt passes through."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        with suppress(_StopTraining):
            self.fit_loop(X, y, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        for epoch in self.history:  # a value for every batch would grow for ever
            epoch["batches"].clear()
        return self
