"""One of the processes of test_parallel.py: python rank.py JOBS RESULTS.

Reads jobs, fits, and writes what became of them. RANK, WORLD_SIZE, MASTER_ADDR and
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

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, Checkpoint
from torch import nn

import sklearn_cpc
from sklearn_cpc import CPCTransformer

RANK = int(os.environ["RANK"])


class StandIn:
    """What is used of an `accelerate.Accelerator`."""

    distributed_type = SimpleNamespace(value="MULTI_CPU")
    device = torch.device("cpu")
    gradient_accumulation_steps = 1
    scaler = None

    def __init__(self, timeout=600):  # a busy machine imports one process late
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout))
        self.process_index = torch.distributed.get_rank()
        self.num_processes = torch.distributed.get_world_size()

    def autocast(self):
        return torch.autocast("cpu", enabled=False)

    def backward(self, loss):
        (loss / self.gradient_accumulation_steps).backward()


def accelerate(**options):
    """Return what the stand-in stands for."""
    from accelerate import Accelerator

    return Accelerator(cpu=True, **options)


class OnRank(Callback):
    """Does something in one process after its second epoch."""

    def __init__(self, rank):
        self.rank = rank

    def on_epoch_end(self, net, **kwargs):
        if self.rank == RANK and len(net.history) == 2:
            self.act(net)


class Stop(OnRank):
    """Ends the training, in skorch's way."""

    def act(self, net):
        raise KeyboardInterrupt


class Die(OnRank):
    """Ends the process at once."""

    def act(self, net):
        os.kill(os.getpid(), 9)


class Hang(OnRank):
    """Does not go on."""

    def act(self, net):
        time.sleep(600)


class Poison(OnRank):
    """Spoils the weights of one process."""

    def act(self, net):
        with torch.no_grad():
            next(net.module_.parameters()).fill_(torch.nan)


class Save(Checkpoint):
    """A checkpoint of the lowest accuracy, in a folder named after the rank."""

    def __init__(self, folder):
        super().__init__(
            monitor="train_accuracy_best",
            dirname=f"{folder}/rank{RANK}",
            load_best=True,
        )


def Resume(path):
    """Write after every epoch, and go on from there in the next fit."""
    return sklearn_cpc.Checkpoint(path, interval=0)


MAKE = {make.__name__: make for make in (Stop, Die, Hang, Poison, Save, Resume)}


def own_encoder():
    """Return an encoder with initial weights that differ between processes."""
    with torch.random.fork_rng():
        torch.manual_seed(RANK)
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU())


def do(job, accelerator):
    """Fit as a job says and return what became of it."""
    options, X = job["options"], job["X"]
    seen = X[::-1] if job["reversed_on"] == RANK else X
    accelerator.gradient_accumulation_steps = job["n_parts"]
    if "callbacks" in options:
        options["callbacks"] = [MAKE[name](arg) for name, arg in options["callbacks"]]
    if options.get("encoder") == "own":
        options["encoder"] = own_encoder()
    cpc = CPCTransformer(accelerator=accelerator, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if job["sklearn_bar"] and hasattr(cpc, "set_callbacks"):
            from sklearn.callback import ProgressBar

            cpc.set_callbacks(ProgressBar())
        try:
            for _ in range(job["n_fits"]):
                getattr(cpc, job["method"])(seen, groups=job["groups"])
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
    return {
        "warned": any(w.category is ConvergenceWarning for w in caught),
        "weights": {k: v.numpy() for k, v in cpc.net_.module_.state_dict().items()},
        "loss_curve": cpc.loss_curve_,
        "accuracy": [epoch["train_accuracy"] for epoch in cpc.net_.history],
        "validation_scores": cpc.validation_scores_,
        "features": cpc.transform(X),
    }


def main(jobs, results):
    """Do all jobs; the exit status says whether all succeeded."""
    torch.set_num_threads(1)
    engine, engine_options, jobs = pickle.loads(Path(jobs).read_bytes())
    accelerator = {"stand-in": StandIn, "accelerate": accelerate}[engine](
        **engine_options
    )
    done = {name: do(job, accelerator) for name, job in jobs.items()}
    Path(results, str(RANK)).write_bytes(pickle.dumps(done))
    if any("error" in result for result in done.values()):
        # At once: torch may abort when it cleans up after a peer that is gone.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
