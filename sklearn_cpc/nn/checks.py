"""Checks of modules that a user brings: shapes, and that nothing looks ahead."""

import torch
from torch import Tensor, nn


def output_size(
    module: nn.Module, role: str, n_in: int, n_steps: int, downsampling: int = 1
) -> int:
    """Return the number of output features of a causal module, or say what is wrong.

    Parameters
    ----------
    module : nn.Module
        ``(B, T, n_in) -> (B, ceil(T / downsampling), n_out)``.
    role : str
        What it is called in messages: the parameter it came from.
    n_in : int
        Size of its input.
    n_steps : int
        Number of steps to try it with.
    downsampling : int, default=1
        Input steps for each output step.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the module fails on such input, returns another shape, or lets an
        output depend on later input.
    """
    name = f"{role}={type(module).__name__}"
    n_steps = max(n_steps, 2 * downsampling)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, n_steps, n_in, generator=generator)
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            y = module(x)
            # From the middle on, both samples continue otherwise.
            changed = x.clone()
            changed[:, n_steps // 2 :] += 1.0
            y_changed = module(changed)
    except Exception as error:
        raise ValueError(
            f"{name} fails on input of shape {tuple(x.shape)}, (batch, steps, "
            f"channels): {error}"
        ) from error
    finally:
        module.train(was_training)
    n_out_steps = -(-n_steps // downsampling)
    if not isinstance(y, Tensor) or y.ndim != 3 or y.shape[:2] != (2, n_out_steps):
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"{name} must turn an input of shape {tuple(x.shape)} into a tensor of "
            f"shape (2, {n_out_steps}, size), but it gives {shape}. If it "
            "downsamples, give it an attribute `downsampling`: n input steps must "
            "give ceil(n / downsampling) latents."
        )
    unchanged = -(-(n_steps // 2) // downsampling)
    if not torch.allclose(y[:, :unchanged], y_changed[:, :unchanged], atol=1e-5):
        raise ValueError(
            f"{name} looks ahead: its output at a step depends on later input. The "
            "target would leak into its own prediction. Pad convolutions on the left "
            "only, use no bidirectional layer and no statistics over time."
        )
    _refuse_batch_norm(module, name)
    return y.shape[-1]


def patch_latent_size(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the number of output features of a patch encoder, or say what is wrong.

    Parameters
    ----------
    module : nn.Module
        ``(N, C, P, P) -> (N, n_out)``.
    shape : tuple of int
        Channels and sides of a patch, (C, P, P).

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the module fails on such input or returns another shape.
    """
    name = f"encoder={type(module).__name__}"
    _refuse_batch_norm(module, name)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            y = module(x)
    except Exception as error:
        raise ValueError(
            f"{name} fails on input of shape {tuple(x.shape)}, (patches, channels, "
            f"height, width): {error}"
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != 2:
        found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"{name} must turn an input of shape {tuple(x.shape)} into a tensor of "
            f"shape (2, size), but it gives {found}."
        )
    return y.shape[1]


def _refuse_batch_norm(module: nn.Module, name: str) -> None:
    if any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()
    ):
        raise ValueError(
            f"{name} holds a batch normalisation: features of a sample would depend on "
            "the other samples. Use torch.nn.LayerNorm over the channels."
        )
