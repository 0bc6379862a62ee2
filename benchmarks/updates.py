"""What the benchmarks of updates share: random walks, a clock, the operations."""

import time

import numpy as np
import torch
from skorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode


def in_place_product(total, left, right, *args, **kwargs):
    """Return the operations of `addmm_`, given shapes."""
    return 2 * left[0] * left[1] * right[1]


IN_PLACE = {torch.ops.aten.addmm_: in_place_product}  # which torch does not count


def operations(function):
    """Return how many operations of products and convolutions a call makes."""
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        function()
    return counter.get_total_flops()


def walks(n_samples, n_steps, n_channels):
    """Return random walks, float32."""
    noise = np.random.default_rng(0).standard_normal(
        (n_samples, n_steps, n_channels), dtype=np.float32
    )
    return noise.cumsum(1)


def wait(device):
    """Wait until a GPU has done what it was told."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


class Clock(Callback):
    """Take the seconds of all updates of a fit, reading of batches included."""

    def on_train_begin(self, net, **kwargs):
        """Start."""
        wait(net.device)
        self.seconds = -time.perf_counter()

    def on_train_end(self, net, **kwargs):
        """Stop."""
        wait(net.device)
        self.seconds += time.perf_counter()
