"""Checks of the user's own modules, before any training.

A trial with random data shows the output's shape, that a module looks at the past only,
and that pieces give what the whole gives.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .causal import CausalModule, State
from .encoders import Encoder, PatchEncoder, PlainEncoder, class_name

# Relative to the largest output: differences below are rounding.
TOLERANCE = 1e-4
# Steps of the first trial of a plain module at most, and of any trial.
N_STEPS, MAX_STEPS = 1024, 2**17
# Integers that an `Encoder` may declare, and the smallest allowed; all but the first
# may be None.
DECLARED = {
    "downsampling": 1,
    "receptive_field": 1,
    "latent_size": 1,
    "crop_length": 2,
    "skip_steps": 0,
}


def as_encoder(
    module: nn.Module, n_channels: int, n_timesteps: int = N_STEPS
) -> Encoder:
    """Return the user's module as an `Encoder`; a plain one is wrapped.

    Trials find out how far a plain module downsamples.

    Parameters
    ----------
    module : Encoder or nn.Module
        ``(B, T, C) -> (B, ceil(T / downsampling), D)``.
    n_channels : int
        Channels of the input.
    n_timesteps : int, default=1024
        Steps of the longest sequence. Trials are longer only if it has a single latent.

    Returns
    -------
    Encoder

    Raises
    ------
    ValueError
        If the module fails, or no downsampling explains its number of latents.
    """
    if isinstance(module, Encoder):
        return module
    name = f"encoder={type(module).__name__}"

    def n_latents(n_steps: int) -> int:
        return _steps_of(_try(module, name, _noise(n_steps, n_channels)), name, n_steps)

    n_steps = min(n_timesteps, N_STEPS)
    while (found := n_latents(n_steps)) == 1 and n_steps < MAX_STEPS:
        n_steps *= 2
    if found == n_steps:
        return PlainEncoder(module)
    smallest = -(-n_steps // found) if found else n_steps
    if found < 2 or found != -(-n_steps // smallest):
        raise ValueError(
            f"{name} gives {found} latents for {n_steps} steps. An encoder must give "
            "ceil(n / downsampling) latents for n steps, with one whole number as its "
            "downsampling. Pad its convolutions on the left by kernel_size - 1 steps."
        )
    # The most steps with a single latent: halve the interval between one and several.
    one, several = 1, n_steps
    while several - one > 1:
        middle = (one + several) // 2
        one, several = (middle, several) if n_latents(middle) == 1 else (one, middle)
    return PlainEncoder(module, one)


def check_encoder(encoder: Encoder, n_channels: int, n_timesteps: int) -> None:
    """Refuse an encoder that breaks the contract; set its `latent_size`.

    Parameters
    ----------
    encoder : Encoder
    n_channels : int
        Channels of the input.
    n_timesteps : int
        Steps of a training window.

    Raises
    ------
    ValueError
        If the encoder fails, declares a value of another type, gives another shape,
        looks ahead, or if its layers or its pieces differ from its output.
    """
    name = f"encoder={class_name(encoder)}"
    _check_declared(encoder, name)
    downsampling = encoder.downsampling
    n_steps = max(n_timesteps, 2 * downsampling, 3)
    n_steps -= (n_steps - 1) % downsampling  # the last latent has a single step
    x = _noise(n_steps, n_channels)
    z = _check_causal(encoder, name, x, downsampling)
    if encoder.latent_size not in (None, z.shape[2]):
        raise ValueError(
            f"{name} declares latent_size={encoder.latent_size}, but its latents have "
            f"the size {z.shape[2]}."
        )
    encoder.latent_size = z.shape[2]
    layers = _try(encoder, name, x, encoder.layers)
    _check_layers(layers, z, f"{name}: layers(x)")
    declared = encoder.layer_downsamplings
    factors = [downsampling] * len(layers) if declared is None else list(declared)
    found, expected = [h.shape[1] for h in layers], [-(-n_steps // f) for f in factors]
    if found != expected:
        raise ValueError(
            f"{name}: layers(x) returns layers of {found} steps for {n_steps} input "
            f"steps, but layer_downsamplings={declared} needs {expected} steps."
        )
    if encoder.can_advance:
        (joined,) = _in_pieces(encoder, name, x, encoder.advance)
        _check_equal(joined, z, f"{name}: advance(x, state)")
        pieces = _in_pieces(encoder, name, x, encoder.advance_layers)
        if len(pieces) != len(layers):
            raise ValueError(
                f"{name}: layers(x) returns {len(layers)} layers, but "
                f"advance_layers(x, state) returns {len(pieces)}. Override both."
            )
        for joined, whole in zip(pieces, layers, strict=True):
            _check_equal(joined, whole, f"{name}: advance_layers(x, state)")


def check_context(context: nn.Module, latent_size: int, n_latents: int) -> int:
    """Refuse a context network that breaks the contract.

    Parameters
    ----------
    context : nn.Module
        ``(B, T', latent_size) -> (B, T', H)``.
    latent_size : int
        Size of the latents.
    n_latents : int
        Latents of a training window.

    Returns
    -------
    int
        The size of the contexts, H.

    Raises
    ------
    ValueError
        If the module fails, gives another shape, looks ahead, or if its pieces differ
        from its output.
    """
    name = f"context={type(context).__name__}"
    z = _noise(max(n_latents, 3), latent_size)
    c = _check_causal(context, name, z)
    if isinstance(context, CausalModule) and context.can_advance:
        (joined,) = _in_pieces(context, name, z, context.advance)
        _check_equal(joined, c, f"{name}: advance(x, state)")
    return c.shape[2]


def check_patch_encoder(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Refuse an encoder of patches that breaks the contract.

    Parameters
    ----------
    module : PatchEncoder or nn.Module
        ``(N, C, P, P) -> (N, D)``.
    shape : tuple of int
        Channels and sides of a patch, (C, P, P).

    Returns
    -------
    int
        The size of the latents, D.

    Raises
    ------
    ValueError
        If the module fails or gives another shape, or if its layers differ.
    """
    name = f"encoder={type(module).__name__}"
    _refuse_batch_norm(module, name)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    y = _try(module, name, x)
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != 2:
        raise ValueError(
            f"{name} must turn an input of shape {tuple(x.shape)} into a tensor of "
            f"shape (2, size), but it gives {_shape(y)}."
        )
    if isinstance(module, PatchEncoder):
        layers = _try(module, name, x, module.layers)
        _check_layers(layers, y, f"{name}: layers(x)")
    return y.shape[1]


# ---- one trial


def _noise(n_steps: int, n_channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, n_steps, n_channels, generator=generator)


def _try(
    module: nn.Module, name: str, x: Tensor, call: Callable[..., Any] | None = None
) -> Any:
    """Return ``call(x)`` of a module in evaluation mode; None calls the module."""
    was_training = module.training
    module.eval()
    axes = "(batch, steps, channels)"
    if x.ndim == 4:
        axes = "(patches, channels, height, width)"
    try:
        with torch.no_grad():
            return (call or module)(x)
    except Exception as error:
        raise ValueError(
            f"{name} fails on input of shape {tuple(x.shape)}, {axes}: {error}"
        ) from error
    finally:
        module.train(was_training)


def _in_pieces(
    module: CausalModule,
    name: str,
    x: Tensor,
    advance: Callable[[Tensor, State], tuple[Any, State]],
) -> list[Tensor]:
    """Return the layers, or the one output, of a module that gets `x` in pieces."""
    third = -(-x.shape[1] // 3)

    def run(x: Tensor) -> list[Tensor]:
        parts: list[list[Tensor]] = []
        state: State = None
        for piece in x.tensor_split([third, third + 1], 1):
            match advance(piece, state):
                case (Tensor() as output, state):
                    parts.append([output])
                case ([*outputs], state):
                    parts.append(outputs)
                case returned:
                    raise TypeError(
                        f"{advance.__name__}(x, state) must return a pair, the output "
                        "and the state for the next call, but it returns "
                        f"{_shape(returned)}"
                    )
        return [torch.cat(pieces, 1) for pieces in zip(*parts, strict=True)]

    joined: list[Tensor] = _try(module, name, x, run)
    return joined


def _check_causal(
    module: nn.Module, name: str, x: Tensor, downsampling: int = 1
) -> Tensor:
    """Return the output for `x`; refuse another shape and a look ahead."""
    y = _try(module, name, x)
    n_steps, expected = x.shape[1], -(-x.shape[1] // downsampling)
    if _steps_of(y, name, n_steps) != expected:
        raise ValueError(
            f"{name} must turn an input of shape {tuple(x.shape)} into a tensor of "
            f"shape (2, {expected}, size), ceil(n / {downsampling}) steps for n steps, "
            f"but it gives {_shape(y)}."
        )
    # From the middle on, both samples continue otherwise.
    changed = x.clone()
    changed[:, n_steps // 2 :] += 1.0
    n_same = -(-(n_steps // 2) // downsampling)
    y_changed = _try(module, name, changed)
    if _differs(y_changed[:, :n_same], y[:, :n_same]):
        raise ValueError(
            f"{name} looks ahead: its output at a step depends on later input. The "
            "target would leak into its own prediction. Pad convolutions on the left "
            "only, use no bidirectional layer and no statistics over time."
        )
    _refuse_batch_norm(module, name)
    output: Tensor = y
    return output


def _steps_of(y: object, name: str, n_steps: int) -> int:
    """Return the number of steps of an output, (2, steps, size)."""
    if not isinstance(y, Tensor) or y.ndim != 3 or len(y) != 2:
        raise ValueError(
            f"{name} must turn an input of {n_steps} steps, (2, {n_steps}, channels), "
            f"into a tensor of shape (2, steps, size), but it gives {_shape(y)}."
        )
    return y.shape[1]


def _check_declared(encoder: Encoder, name: str) -> None:
    for attribute, smallest in DECLARED.items():
        value = getattr(encoder, attribute)
        if value is None and attribute != "downsampling":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise ValueError(
                f"{name} declares {attribute}={value!r}, but it must be an int of at "
                f"least {smallest}"
                + ("." if attribute == "downsampling" else ", or None.")
            )


def _check_layers(layers: object, y: Tensor, source: str) -> None:
    """Refuse anything but a list of tensors that ends with the output."""
    if not isinstance(layers, Sequence) or not all(
        isinstance(h, Tensor) and h.ndim == y.ndim for h in layers
    ):
        raise ValueError(
            f"{source} must return a list of tensors with {y.ndim} axes, the latents "
            f"last, but it returns {_shape(layers)}."
        )
    if not layers:
        raise ValueError(f"{source} returns no layer. The last one is the latents.")
    _check_equal(layers[-1], y, source)


def _check_equal(found: Tensor, expected: Tensor, source: str) -> None:
    """Refuse values that are not the output of a call with the whole input."""
    if found.shape != expected.shape:
        raise ValueError(
            f"{source} gives the shape {tuple(found.shape)}, but a call of the module "
            f"gives {tuple(expected.shape)}."
        )
    if _differs(found, expected):
        raise ValueError(
            f"{source} gives other values than a call of the module with all steps."
        )


def _differs(found: Tensor, expected: Tensor) -> bool:
    """Return whether values differ by more than rounding."""
    largest = expected.detach().abs().max().item()
    return not torch.allclose(found, expected, rtol=0, atol=TOLERANCE * max(1, largest))


def _refuse_batch_norm(module: nn.Module, name: str) -> None:
    if any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()
    ):
        raise ValueError(
            f"{name} holds a batch normalisation: features of a sample would depend on "
            "the other samples. Use torch.nn.LayerNorm over the channels."
        )


def _shape(value: object) -> str:
    """Describe a value for a message: the shape of a tensor, else the type."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    return f"a {type(value).__name__}"
