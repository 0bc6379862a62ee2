"""The skorch net that trains a CPC model."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring

from ..nn.distributed import Ranks
from ..nn.loss import LossOutput, mean_output
from ..nn.model import CPCOutput
from .parallel import Alone, ranks_of
from .state import not_finite

REMEDY = "Use a smaller lr, a higher temperature, or scaling='channel'."


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
        Takes over precision and the backward pass, and says with which other
        processes the net is trained.
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
    def ranks(self) -> Ranks:
        """The processes that train this net together."""
        return ranks_of(self.accelerator)

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
            # What means over the epoch are weighted with: not this process's share.
            batches = self.history[-1]["batches"]
            for batch, size in zip(batches, iterator.sizes, strict=True):
                batch["train_batch_size"] = size
        elif iterator is not None:
            # Equal weights may differ in the last bits of a score on other hardware,
            # and all have to stop at once.
            score = self.ranks.first(iterator.score(self))
            self.history.record("valid_score", score)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; those of skorch stop with a KeyboardInterrupt."""
        stop = False
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            if method_name != "on_epoch_end":
                raise
            stop = True
        if method_name == "on_epoch_end" and self.ranks.any(stop):
            raise _StopTraining

    def infer(self, x: dict[str, torch.Tensor], **fit_params: Any) -> Any:
        """Run the model; lengths stay on the CPU, where negatives are drawn."""
        device = torch.device(self.device)
        precision: Any = nullcontext()  # that of the accelerator, if there is one
        if self.autocast is not None:
            precision = torch.autocast(device.type, self.autocast)
        with precision:
            output = self.module_(x["x"].to(device, non_blocking=True), x["lengths"])
        # Where there are several directions to predict in, there is a list of outputs.
        return output if isinstance(output, list) else [output]

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients of a batch, part by part, in all processes."""
        self._set_training(True)
        accelerator = self.accelerator or Alone()
        n_parts = accelerator.gradient_accumulation_steps
        totals = torch.zeros(2)  # loss and accuracy
        for inputs, origin in _parts(batch, n_parts):
            with accelerator.autocast():
                y_pred = self.infer(inputs, **fit_params)
            output = self.get_loss(y_pred, origin, X=inputs, training=True)
            accelerator.backward(output.loss)  # divides by n_parts
            weights = output.n_pairs / output.n_pairs.sum().clamp(min=1)
            accuracy = (output.accuracy.nan_to_num() * weights).sum()
            totals += torch.stack([output.loss.detach(), accuracy]).cpu() / n_parts
        gradients = [p.grad for p in self.module_.parameters() if p.grad is not None]
        self.ranks.sum([*gradients, totals])
        loss, accuracy = totals
        if not torch.isfinite(loss):
            raise ValueError(
                f"The loss became {loss.item()} in epoch {len(self.history)}. {REMEDY}"
            )
        if accelerator.scaler is not None:
            accelerator.scaler.unscale_(self.optimizer_)
        self.history.record_batch("train_chance", output.chance)
        self.history.record_batch("train_accuracy", accuracy.item())
        return {"loss": loss, "y_pred": y_pred}

    def _step_optimizer(self, step_fn: Any) -> None:
        """Update the weights; a scaler of float16 leaves out one that overflowed."""
        scaler = getattr(self.accelerator, "scaler", None)
        if scaler is None:
            super()._step_optimizer(step_fn)
        else:
            step_fn()
            scaler.step(self.optimizer_)
            scaler.update()

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> LossOutput:
        """Return InfoNCE of all directions."""
        outputs = []
        for direction in y_pred:
            # An image is as many sequences as it has columns.
            n_repeats = len(direction.z) // len(y_true)
            origin = y_true.repeat_interleave(n_repeats, 0)
            outputs.append(self._compare(direction, origin))
        return mean_output(outputs)

    def _compare(self, output: CPCOutput, origin: torch.Tensor) -> LossOutput:
        """Compare the predictions of this process with the latents of all."""
        z, first = self.ranks.gather(output.z.float())
        lengths, _ = self.ranks.gather(output.lengths)
        sequences, groups = self.ranks.gather(origin)[0].unbind(1)
        output = output._replace(z=z, lengths=lengths)
        result: LossOutput = self.criterion_(
            *output, sequences=sequences, groups=groups, first=first
        )
        return result

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
        if name := not_finite(self.module_):
            raise ValueError(f"The last update made {name} infinite or NaN. {REMEDY}")
        for epoch in self.history:  # a value for every batch would grow for ever
            epoch["batches"].clear()
        return self


def _parts(batch: Any, n_parts: int) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
    """Split the windows of a batch."""
    inputs, origin = batch
    pieces = {name: tensor.tensor_split(n_parts) for name, tensor in inputs.items()}
    for i, part in enumerate(origin.tensor_split(n_parts)):
        yield {name: piece[i] for name, piece in pieces.items()}, part
