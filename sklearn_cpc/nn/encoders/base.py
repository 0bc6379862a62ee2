"""The contract of encoders: what the rest of the package may ask of one."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..causal import CausalModule, State
from ..registry import register
from .frequencies import SmoothInverseFrequency


class Encoder(CausalModule):
    """From input to latents, ``z = encoder(x)``.

    The call is ``(B, T, C) -> (B, ceil(T / downsampling), D)``, and latent ``j``
    depends on the input steps up to ``j * downsampling`` only. Encoders of images take
    grids of patches, ``(B, R, Q, C, P, P) -> (B, R, Q, D)``; a row is a step.

    A subclass writes `forward` and overrides what differs from the defaults.

    Attributes
    ----------
    downsampling : int, default=1
        Input steps for each latent.
    n_calibration : int, default=32
        Sequences for `calibrate`.
    receptive_field : int or None, default=None
        Input steps that one latent depends on. None is unknown.
    latent_size : int or None, default=None
        Size of the latents, D. None lets `fit` find it out.
    crop_length : int or None, default=None
        Length of the training windows with ``crop_length="auto"``, in input steps. None
        gives windows of 128 latents.
    skip_steps : int or None, default=None
        Latents to skip with ``skip_steps="auto"``. None leaves it to the estimator.
    prediction_steps : int or None, default=None
        Latents to predict with ``prediction_steps="auto"``. None leaves it to the
        estimator.
    layer_downsamplings : sequence of int or None, default=None
        Input steps for each step of every output of `layers`. None means that all of
        them have one step for each latent.
    feature_layers : sequence of str or None, default=None
        Layers that ``features="auto"`` returns beside the contexts: "layer1" is the
        first output of `layers`, "latent" the last. None means all of them.
    sampling_rate : float or None, default=None
        Input steps in a second that it is made for, in hertz. None takes any.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import Encoder
    >>> class Differences(Encoder):
    ...     '''The change from one step to the next.'''
    ...
    ...     receptive_field = 2
    ...
    ...     def forward(self, x):
    ...         return torch.diff(x, dim=1, prepend=x[:, :1])
    >>> Differences()(torch.tensor([[[1.0], [3.0], [2.0]]]))[0, :, 0]
    tensor([ 0.,  2., -1.])
    """

    downsampling: int = 1
    n_calibration: int = 32
    receptive_field: int | None = None
    latent_size: int | None = None
    crop_length: int | None = None
    skip_steps: int | None = None
    prediction_steps: int | None = None
    layer_downsamplings: Sequence[int] | None = None
    feature_layers: Sequence[str] | None = None
    sampling_rate: float | None = None

    def __init__(self) -> None:  # without arguments
        super().__init__()

    @property
    def sif(self) -> SmoothInverseFrequency | None:
        """Weights of tokens, for the pooling "sif"; None where steps have none."""
        return None

    @property
    def disjoint_steps(self) -> int:
        """Latents to skip so that a target shares no input with its context."""
        return ((self.receptive_field or 1) - 1) // self.downsampling

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer, the latents last.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Input.

        Returns
        -------
        list of Tensor
            Shapes (B, ceil(T / layer_downsamplings[i]), D_i). Without an override, the
            latents alone.
        """
        return [self(x)]

    def advance_layers(
        self, x: Tensor, state: State = None
    ) -> tuple[list[Tensor], State]:
        """Do what `layers` does, with the next steps of sequences; see `advance`.

        An encoder that overrides `advance` and `layers` overrides this method, too.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            The next steps.
        state : State, default=None
            What the last call returned. None starts new sequences.

        Returns
        -------
        outputs : list of Tensor
            The new steps of every layer, the latents last.
        state : State
            To be passed to the next call.
        """
        z, state = self.advance(x, state)
        return [z], state

    @property
    def needs_calibration(self) -> bool:
        """Whether the encoder overrides `calibrate`."""
        return type(self).calibrate is not Encoder.calibrate

    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Adapt the initial weights to the data; called once, before training.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """


@register
class PlainEncoder(Encoder):
    """A module of any other class, used as an `Encoder`.

    Its attributes and methods have no meaning, except its call. Its weights keep their
    names: the wrapper does not show in a state dict.

    Parameters
    ----------
    module : nn.Module
        ``(B, T, C) -> (B, ceil(T / downsampling), D)``, causal.
    downsampling : int, default=1
        Input steps for each latent.
    """

    def __init__(self, module: nn.Module, downsampling: int = 1) -> None:
        super().__init__()
        self.module = module
        self.downsampling = downsampling

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T', D)
        z: Tensor = self.module(x)
        if z.shape[1] != -(-x.shape[1] // self.downsampling):
            raise ValueError(
                f"{type(self.module).__name__} gives {z.shape[1]} latents for "
                f"{x.shape[1]} steps, but its downsampling is {self.downsampling}. Use "
                "a subclass of sklearn_cpc.nn.Encoder that declares it."
            )
        return z

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights of the module, without another prefix."""
        return self.module.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        names = [name for name in state_dict if name.startswith(prefix)]
        inner = {name.removeprefix(prefix): state_dict.pop(name) for name in names}
        state_dict |= {f"{prefix}module.{name}": part for name, part in inner.items()}
        super()._load_from_state_dict(state_dict, prefix, *args)


def class_name(module: nn.Module) -> str:
    """Return the name of the user's class, for messages."""
    return type(module.module if isinstance(module, PlainEncoder) else module).__name__
