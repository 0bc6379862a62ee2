"""One of the processes of test_parallel.py: python rank.py JOB RESULT.

Reads a job, fits, and writes what became of it. RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT say who it is, as torchrun sets them.
"""

import os
import pickle
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_cpc import CPCTransformer

RANK = int(os.environ["RANK"])


class StandIn:
    """What is used of an `accelerate.Accelerator`."""

    distributed_type = SimpleNamespace(value="MULTI_CPU")
    device = torch.device("cpu")
    scaler = None

    def __init__(self, n_parts=1, timeout=60):
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout))
        self.process_index = torch.distributed.get_rank()
        self.num_processes = torch.distributed.get_world_size()
        self.gradient_accumulation_steps = n_parts

    def autocast(self):
        return torch.autocast("cpu", enabled=False)

    def backward(self, loss):
        (loss / self.gradient_accumulation_steps).backward()


def accelerate(mixed_precision="no", n_parts=1, timeout=60):
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    return Accelerator(
        cpu=True,
        mixed_precision=mixed_precision,
        gradient_accumulation_steps=n_parts,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=timeout))],
    )


class OnRank(Callback):
    """Does something on one rank after an epoch."""

    def __init__(self, rank, epoch=2):
        self.rank, self.epoch = rank, epoch

    def on_epoch_end(self, net, **kwargs):
        if RANK == self.rank and len(net.history) == self.epoch:
            self.act(net)


class Stop(OnRank):
    def act(self, net):
        raise KeyboardInterrupt


class Die(OnRank):
    def act(self, net):
        os.kill(os.getpid(), 9)


class Sleep(OnRank):
    def act(self, net):
        time.sleep(600)


class Poison(OnRank):
    def act(self, net):
        with torch.no_grad():
            next(net.module_.parameters()).fill_(torch.nan)


def own_encoder():
    """Initialised by torch's global generator, which differs between processes."""
    torch.manual_seed(RANK)
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU())


MAKE = {"Stop": Stop, "Die": Die, "Sleep": Sleep, "Poison": Poison}


def main(job_path, result_path):
    torch.set_num_threads(1)
    job = pickle.loads(Path(job_path).read_bytes())
    engine = {"stand-in": StandIn, "accelerate": accelerate}[job["engine"]]
    options = job["options"]
    if "callbacks" in options:
        options["callbacks"] = [
            MAKE[entry[0]](*entry[1:]) if isinstance(entry, tuple) else entry
            for entry in options["callbacks"]
        ]
    if options.get("encoder") == "own":
        options["encoder"] = own_encoder()
    X = job["X"][::-1] if job["reverse_on"] == RANK else job["X"]
    cpc = CPCTransformer(accelerator=engine(**job["engine_options"]), **options)
    result = {}
    start = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for _ in range(job["n_fits"]):
                getattr(cpc, job["method"])(X, groups=job["groups"])
        except Exception as error:
            result["error"] = repr(error)
    result["seconds"] = time.monotonic() - start
    result["warnings"] = [str(w.message) for w in caught if "CPC" in str(w.filename)]
    result["all_warnings"] = [f"{w.category.__name__}: {w.message}" for w in caught]
    if "error" not in result:
        result |= {
            "weights": {k: v.numpy() for k, v in cpc.net_.module_.state_dict().items()},
            "loss_curve": cpc.loss_curve_,
            "accuracy": [epoch["train_accuracy"] for epoch in cpc.net_.history],
            "validation_scores": cpc.validation_scores_,
            "features": cpc.transform(job["X"]),
            "scaling": np.asarray(cpc._scaling.scaler.mean_),
        }
    Path(result_path).write_bytes(pickle.dumps(result))
    if "error" in result:
        sys.exit(1)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
