"""The skorch net that trains a CPC model."""

import signal
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring
from skorch.history import History

from ..nn.distributed import Ranks
from ..nn.loss import CPCLoss, LossOutput
from ..nn.model import CPCOutput, Model
from ..nn.negatives import Origin
from .accelerator import Accelerator, SingleProcess, ranks_of
from .batches import Batch, RandomCrops
from .state import not_finite
from .validation import Validation

REMEDY = "Use a smaller lr, a higher temperature, or scaling='channel'."
# Devices on which AdamW has a fused kernel in all supported releases of torch.
FUSED = ("cpu", "cuda")


class _StopTraining(Exception):
    """A callback has asked to stop after this epoch."""


class _Interrupts:
    """Notes that somebody has pressed Ctrl-C; only the main thread can be told."""

    seen = False

    def __enter__(self) -> "_Interrupts":
        self.before = signal.getsignal(signal.SIGINT)
        self.watches = (
            callable(self.before)
            and threading.current_thread() is threading.main_thread()
        )
        if self.watches:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *args: object) -> None:
        # Somebody else may have set a handler meanwhile.
        if self.watches and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self.before)

    def _note(self, *args: Any) -> None:
        self.seen = True
        self.before(*args)  # type: ignore[operator, misc]


class CPCNet(NeuralNet):
    """`skorch.NeuralNet` for batches of windows and the contrastive loss.

    It differs from its base in four ways. Its data is a pair: an iterator over batches,
    such as `RandomCrops`, and a `Validation` or None. It records the contrastive
    accuracy. It stops when the loss is not finite. It lets Ctrl-C through.

    Parameters
    ----------
    autocast : torch.dtype or None, default=None
        Lower precision for the forward pass. The loss stays in float32.
    accelerator : Accelerator or None, default=None
        Takes over precision and the backward pass, and knows the other processes.
    **kwargs
        Parameters of `skorch.NeuralNet`.
    """

    module_: Model
    criterion_: CPCLoss
    optimizer_: torch.optim.Optimizer
    history: History
    device: str

    def __init__(
        self,
        *args: Any,
        autocast: torch.dtype | None = None,
        accelerator: Accelerator | None = None,
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
        """Return the batches and the validation."""
        return X

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the batches, which are an iterator, or the validation."""
        return dataset

    def run_single_epoch(
        self,
        iterator: RandomCrops | Validation | None,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Train on all batches, or record ``valid_score``."""
        if isinstance(iterator, Validation):
            # Equal weights may give scores that differ in the last bits on other
            # hardware, but all processes have to stop at once.
            score = self.ranks.broadcast(iterator.score(self))
            self.history.record("valid_score", score)
        elif iterator is not None:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            # The means over an epoch are weighted by the windows of all processes.
            batches = self.history[-1]["batches"]
            for batch, size in zip(batches, iterator.sizes, strict=True):
                batch["train_batch_size"] = size

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; a skorch callback stops with a KeyboardInterrupt."""
        if method_name != "on_epoch_end":
            super().notify(method_name, **cb_kwargs)
            return
        stop = False
        with _Interrupts() as interrupts:
            try:
                super().notify(method_name, **cb_kwargs)
            except KeyboardInterrupt:
                if interrupts.seen:
                    raise
                stop = True
        if self.ranks.any(stop):
            raise _StopTraining

    def infer(self, x: Batch, **fit_params: Any) -> list[CPCOutput]:
        """Run the model; lengths stay on the CPU, where negatives are drawn."""
        outputs: list[CPCOutput] = self.module_(
            x.x.to(self.device, non_blocking=True), x.lengths
        )
        return outputs

    def _precision(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass and of the loss.

        Without a precision of its own, the accelerator's context holds.
        """
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, self.autocast)

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute loss and gradients of a batch, part by part, in all processes."""
        self._set_training(True)
        accelerator = self.accelerator or SingleProcess()
        n_parts = accelerator.gradient_accumulation_steps
        totals = torch.zeros(2)  # loss and accuracy
        for part in batch.split(n_parts):
            with accelerator.autocast(), self._precision():
                y_pred = self.infer(part, **fit_params)
                output = self._compare(y_pred, part.origin)
            accelerator.backward(output.loss)  # divides by n_parts
            weights = output.n_pairs / output.n_pairs.sum().clamp(min=1)
            accuracy = (output.accuracy.nan_to_num() * weights).sum()
            totals += torch.stack([output.loss.detach(), accuracy]).cpu() / n_parts
        gradients = [p.grad for p in self.module_.parameters() if p.grad is not None]
        self.ranks.all_reduce([*gradients, totals])
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
        """Update the weights; a scaler of float16 skips an update that overflowed."""
        scaler = None if self.accelerator is None else self.accelerator.scaler
        if scaler is None:
            super()._step_optimizer(step_fn)
        else:
            step_fn()
            scaler.step(self.optimizer_)
            scaler.update()

    def _compare(self, outputs: list[CPCOutput], origin: Origin) -> LossOutput:
        """Compare the predictions of this process with the latents of all."""
        sequences, first = self.ranks.all_gather(origin.sequences)
        groups, _ = self.ranks.all_gather(origin.groups)
        gathered = [self._gather(output) for output in outputs]
        result: LossOutput = self.criterion_(
            *gathered, origin=Origin(sequences, groups), first=first
        )
        return result

    def _gather(self, output: CPCOutput) -> CPCOutput:
        """Return an output with the latents and the lengths of all processes."""
        z, _ = self.ranks.all_gather(output.z.float())
        lengths, _ = self.ranks.all_gather(output.lengths)
        return output._replace(z=z, lengths=lengths)

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
        for epoch in self.history:  # a value for every batch would add up
            epoch["batches"].clear()
        return self


def make_net(
    model: Model,
    loss: CPCLoss,
    *,
    device: str,
    lr: float,
    autocast: torch.dtype | None,
) -> CPCNet:
    """Return an initialized net with a new optimizer."""
    net: CPCNet = CPCNet(
        model,
        loss,
        optimizer=torch.optim.AdamW,
        # One pass over the weights instead of a dozen.
        optimizer__fused=torch.device(device).type in FUSED,
        lr=lr,
        autocast=autocast,
        device=device,
        train_split=None,
        verbose=0,
    ).initialize()
    return net
