"""Device, threads, seeds and precision."""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock

import numpy as np
import torch
from joblib import effective_n_jobs

# More threads gain nothing, and thousands end a process before they begin.
MAX_THREADS = max(8, os.cpu_count() or 1)
# The largest block, in bytes, that teaches the allocator of glibc, less its header.
LARGEST_BLOCK = 31 * 2**20
# The precision of matrix products, and the devices on which autocast may be on.
EXACT, AUTOCAST = "highest", ("cpu", "cuda")


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
        # A number has to come back, which "meta" has not.
        torch.zeros(1, device=device).item()
    except Exception as error:  # each device has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"device={device!r} cannot be used here: {reason} Use 'auto', 'cpu', or a "
            "device that torch has."
        ) from None
    return "cpu" if torch.device(device).type == "cpu" else device


def available_device(device: str) -> str:
    """Return the torch device for a name, or the CPU if it cannot be used here."""
    try:
        return resolve_device(device)
    except ValueError as error:
        warnings.warn(f"The model runs on the CPU: {error}", stacklevel=2)
        return "cpu"


def n_threads(n_jobs: int) -> int:
    """Return the number of threads of torch for `n_jobs`, at most `MAX_THREADS`.

    The child of a fork has a single one: the threads of its parent are not there, and
    torch would wait for them.
    """
    wanted = min(int(effective_n_jobs(int(n_jobs))), MAX_THREADS)
    return 1 if _Process.is_child else wanted


class _Process:
    """What a fork has to know."""

    had_threads = False
    is_child = False


def _after_fork() -> None:
    """Leave a child a single thread if its parent had several in the library."""
    if _Process.had_threads:
        _Process.is_child = True
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep up to 62 MiB that were freed, once for a process.

    The layers of the next batch need them again. The allocator of glibc learns from the
    largest block that was freed how much to keep. Before it has, the kernel clears new
    memory for every batch, which takes a quarter of the time of `transform`. Nothing is
    written into this block, so that it costs no memory; other allocators ignore it.
    """
    torch.empty(LARGEST_BLOCK, dtype=torch.uint8)


@contextmanager
def own_settings(n_jobs: int | None) -> Iterator[None]:
    """Run torch with the library's settings for a while, whatever surrounds it.

    These are the type of new tensors, the precision of matrix products, the device,
    gradients, and the number of threads; None leaves torch's own number. The whole
    process shares it: estimators that run at once in threads should all leave `n_jobs`
    at None.
    """
    before = torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(_PRECISION)
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        keep_freed_memory()
        for kind in AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if n_jobs is not None:
            torch.set_num_threads(n_threads(n_jobs))
            stack.callback(torch.set_num_threads, before)
        _Process.had_threads |= torch.get_num_threads() > 1
        yield


class _Precision:
    """The precisions that a process shares: set by the first, put back by the last."""

    def __init__(self) -> None:
        self.lock, self.n_inside = Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            if not self.n_inside:
                self.dtype = torch.get_default_dtype()
                self.products = _product_precision()
                if self.dtype != torch.float32:
                    torch.set_default_dtype(torch.float32)
                if self.products != EXACT:
                    torch.set_float32_matmul_precision(EXACT)
            self.n_inside += 1

    def __exit__(self, *args: object) -> None:
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                if self.dtype != torch.float32:
                    torch.set_default_dtype(self.dtype)
                if self.products != EXACT:
                    torch.set_float32_matmul_precision(self.products)


def _product_precision() -> str:
    """Return the precision of float32 matrix products."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set for a backend alone, which torch cannot tell
        return EXACT


_PRECISION = _Precision()


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
