"""Device, threads, seeds and precision."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from joblib import effective_n_jobs


def resolve_device(device: str) -> str:
    """Return the torch device for a name; "auto" is CUDA, then MPS, then the CPU.

    Raises
    ------
    ValueError
        If torch does not know the device or cannot use it here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here: {reason} Use 'auto', 'cpu', or a "
            "device that torch has."
        ) from None
    return device


def available_device(device: str) -> str:
    """Return the torch device for a name, or the CPU if it cannot be used here."""
    try:
        return resolve_device(device)
    except ValueError as error:
        warnings.warn(f"The model runs on the CPU: {error}", stacklevel=2)
        return "cpu"


@contextmanager
def torch_threads(n_jobs: int | None) -> Iterator[None]:
    """Give torch `n_jobs` threads for a while. None leaves torch's own number.

    The whole process shares the number. Estimators that run at once in threads should
    all leave it at None.
    """
    if n_jobs is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spawn_seeds(
    random_state: int | np.random.RandomState | None, n_seeds: int
) -> list[int]:
    """Return independent seeds. No global generator is read or advanced.

    None takes fresh entropy. An int gives the same seeds every time. A
    `numpy.random.RandomState` is advanced by one draw.
    """
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    sequence = np.random.SeedSequence(random_state)
    return [int(seed) for seed in sequence.generate_state(n_seeds, np.uint64) >> 1]


def autocast_type(precision: str) -> torch.dtype | None:
    """Return the lower precision of the forward pass, None for float32."""
    return torch.bfloat16 if precision == "bf16" else None
