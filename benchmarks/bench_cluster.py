"""From a laptop to a cluster: what several processes gain, and what they send.

    python benchmarks/bench_cluster.py [PART ...]    (needs the extra distributed)

"training" by one and by two processes (torchrun, gloo), and by one whose
convolutions round in another way (no oneDNN), the control for what rounding alone does
to weights; "search" by one process,
by joblib's two and by two Dask workers; "transform" of a 2 GiB Dask array by
partitions; "sizes", from which follows what moves on larger clusters. All on random
walks of fixed seeds, one thread a process. Without PART, all four. Writes JSON and
Markdown tables to benchmarks/results; a part replaces its own results only.
"""

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import torch
from distributed import Client, LocalCluster
from joblib import parallel_config
from measuring import machine
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_cpc import CPCTransformer

RESULTS = Path(__file__).parent / "results" / "cluster"
N_REPEATS = 1
TRAINING = {"batch_size": 32, "max_epochs": 25, "random_state": 0}
GRID = {"lr": [3e-4, 3e-3], "temperature": [0.05, 0.1]}
BLOCK, N_BLOCKS, N_STEPS = 1024, 64, 8192  # 64 blocks of 32 MiB


def walks(n_samples, n_steps, n_channels, seed=0):
    """Return random walks, float32."""
    noise = np.random.default_rng(seed).standard_normal(
        (n_samples, n_steps, n_channels), dtype=np.float32
    )
    return noise.cumsum(1)


# ---- training


def train(path):
    """Fit; as a process of torchrun together with the others. Write what became."""
    torch.set_num_threads(1)
    if "NO_ONEDNN" in os.environ:
        torch.backends.mkldnn.set_flags(False)
    accelerator = None
    if "WORLD_SIZE" in os.environ:
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True)
    X = walks(64, 256, 4)
    CPCTransformer(max_epochs=1, random_state=0).fit(X[:32])  # warm up
    begin = time.perf_counter()
    fitted = CPCTransformer(accelerator=accelerator, **TRAINING).fit(X)
    seconds = time.perf_counter() - begin
    if accelerator is None or accelerator.is_main_process:
        n_updates = sum(e["train_batch_count"] for e in fitted.net_.history)
        weights = {k: v.numpy() for k, v in fitted.net_.module_.state_dict().items()}
        Path(path).write_bytes(pickle.dumps((seconds / n_updates, n_updates, weights)))


def bench_training():
    """Compare one process with two: seconds of an update, weights at the end."""
    python = [sys.executable]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ways = {
        "one process": (python, {}),
        "two processes": ([*python, *torchrun], {}),
        "one process, other convolutions": (python, {"NO_ONEDNN": "1"}),
    }
    seconds, weights = {name: [] for name in ways}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result")
        for _ in range(N_REPEATS):
            for name, (launcher, environment) in ways.items():
                subprocess.run(
                    [*launcher, __file__, "train", str(path)],
                    env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
                    check=True,
                )
                duration, n_updates, weights[name] = pickle.loads(path.read_bytes())
                seconds[name].append(duration)
    alone = weights["one process"]
    differences = {
        name: max(float(np.abs(other[key] - alone[key]).max()) for key in alone)
        for name, other in weights.items()
    }
    return {"n_updates": n_updates, "seconds": seconds, "differences": differences}


# ---- search


def bench_search(client):
    """Compare a grid search by one process, by two of joblib and by two of Dask."""
    X = walks(40, 128, 2)
    estimator = CPCTransformer(
        latent_size=16, context_size=16, max_epochs=10, random_state=0, n_jobs=1
    )
    seconds, scores = {}, {}
    ways = {
        "one process": ("loky", {}, 1),
        "joblib, 2 processes": ("loky", {}, 2),
        "Dask, 2 workers": ("dask", {"scatter": [X]}, -1),
    }
    for name, (backend, options, n_jobs) in ways.items():
        search = GridSearchCV(estimator, GRID, cv=KFold(3), n_jobs=n_jobs, refit=False)
        with parallel_config(backend, **options):
            clone(search).set_params(param_grid={"max_epochs": [0, 1]}).fit(X)  # warm
            begin = time.perf_counter()
            search.fit(X)
        seconds[name] = time.perf_counter() - begin
        scores[name] = search.cv_results_["mean_test_score"].tolist()
    candidate = len(pickle.dumps(clone(estimator)))
    return {
        "n_fits": 3 * len(scores["one process"]),
        "seconds": seconds,
        "equal_scores": len({tuple(values) for values in scores.values()}) == 1,
        "candidate": candidate,
        "data": X.nbytes,
    }


# ---- transform


def block(block_id):
    """Return a block of the large array."""
    noise = np.random.default_rng(block_id[0])
    return noise.standard_normal((BLOCK, N_STEPS), dtype=np.float32)


def features(part, model):
    """Transform a partition."""
    return model.transform(part)


def peak_memory():
    """Return the most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bench_transform(client):
    """Transform 2 GiB by partitions with a tiny model."""
    fitted = CPCTransformer(
        latent_size=4, context_size=4, features="latent", max_epochs=0, random_state=0
    ).fit(block((0, 0))[:50])
    array = da.map_blocks(
        block,
        chunks=((BLOCK,) * N_BLOCKS, (N_STEPS,)),
        meta=np.empty((0, 0), np.float32),
    )
    output = array.map_blocks(
        features,
        model=dask.delayed(fitted),
        chunks=(array.chunks[0], len(fitted.get_feature_names_out())),
        meta=np.empty((0, 0), np.float32),
    )
    before = max(client.run(peak_memory).values())
    begin = time.perf_counter()
    result = output.compute()
    seconds = time.perf_counter() - begin
    expected = fitted.transform(block((N_BLOCKS - 1, 0)))
    return {
        "bytes": array.nbytes,
        "seconds": seconds,
        "peak_bytes_of_a_worker_before": before,
        "peak_bytes_of_a_worker": max(client.run(peak_memory).values()),
        "equal": bool((result[-BLOCK:] == expected).all()),
    }


# ---- on paper


def sizes_of_the_default():
    """Return what a default estimator of sequences of 512 steps weighs."""
    fitted = CPCTransformer(max_epochs=1, random_state=0).fit(walks(64, 512, 4))
    model = fitted.net_.module_
    message = pickle.dumps(fitted)
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        pickle.loads(message)
        seconds.append(time.perf_counter() - begin)
    return {
        "bytes_of_weights": sum(4 * p.numel() for p in model.parameters()),
        "bytes_of_a_pickle": len(message),
        "seconds_to_unpickle": min(seconds),
        "n_latents_of_a_window": -(-512 // fitted.downsampling_),
        "latent_size": fitted.latent_size,
        "n_features": len(fitted.get_feature_names_out()),
    }


def bytes_of_an_update(sizes, n_ranks, batch_size):
    """Return what one process sends, if collectives go round a ring.

    A gather passes on all rows but one share; a sum passes everything twice: once
    to add, once to spread. Latents are gathered, their gradients and those of the
    weights are summed.
    """
    latents = batch_size * sizes["n_latents_of_a_window"] * sizes["latent_size"] * 4
    part = (n_ranks - 1) / n_ranks
    return part * (3 * latents + 2 * sizes["bytes_of_weights"])


def tables(results):
    """Return the tables of all results, in Markdown."""
    training, search = results["training"], results["search"]
    transform, sizes = results["transform"], results["sizes"]
    first, candidate = training["seconds"]["one process"], search["candidate"]
    alone = search["seconds"]["one process"]
    worker = transform["peak_bytes_of_a_worker"]
    lines = [
        f"| {training['n_updates']} updates of 32 windows | s per update | speed-up | "
        "largest difference of a weight |",
        "|---|---|---|---|",
        *[
            f"| {name} | {np.median(s):.2f} | {np.median(first) / np.median(s):.2f} | "
            f"{training['differences'][name]:.0e} |"
            for name, s in training["seconds"].items()
        ],
        "",
        f"| search, {search['n_fits']} fits | seconds | speed-up |",
        "|---|---|---|",
        *[
            f"| {name} | {s:.1f} | {alone / s:.2f} |"
            for name, s in search["seconds"].items()
        ],
        "",
        f"Scores equal bit by bit: {search['equal_scores']}. A candidate is "
        f"{candidate:,} bytes, the data {search['data']:,}.",
        "",
        "| transform of 2 GiB by 2 Dask workers | |",
        "|---|---|",
        f"| seconds | {transform['seconds']:.0f} |",
        f"| peak memory of a worker, MiB | {worker >> 20} |",
        f"| of which before the transform | "
        f"{transform['peak_bytes_of_a_worker_before'] >> 20} |",
        f"| equal to the transform in memory | {transform['equal']} |",
        "",
        "| on paper: default model, windows of 512 steps, 4 channels | bytes |",
        "|---|---|",
    ]
    for n_ranks, batch_size in [(2, 32), (8, 32), (8, 256), (64, 2048)]:
        sent = bytes_of_an_update(sizes, n_ranks, batch_size)
        lines.append(
            f"| an update of {batch_size} windows, sent by each of {n_ranks} processes "
            f"| {sent / 1e6:.1f} MB |"
        )
    message = sizes["bytes_of_a_pickle"]
    lines += [
        f"| 1,000 candidates in 5 folds | {5_000 * candidate / 1e6:.0f} MB, and the "
        "data once for each worker |",
        f"| the model, pickled | {message / 1e6:.1f} MB |",
        f"| the model, to 10,000 executors | {message / 1e5:.0f} GB |",
        f"| a million samples, read | {512 * 4 * 4 / 1e3:.1f} GB |",
        f"| their {sizes['n_features']} features, written | "
        f"{sizes['n_features'] * 4 / 1e3:.1f} GB |",
    ]
    return "\n".join(lines)


def on_dask(bench):
    """Run a part with a cluster of two workers."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        return bench(client)


PARTS = {
    "sizes": sizes_of_the_default,
    "training": bench_training,
    "transform": lambda: on_dask(bench_transform),
    "search": lambda: on_dask(bench_search),
}


def main(parts):
    """Run some parts and write the results."""
    torch.set_num_threads(1)
    path = RESULTS.with_suffix(".json")
    measured = {
        part: PARTS[part]() | {"load": os.getloadavg()[0]} for part in parts or PARTS
    }
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    results = before | measured
    path.parent.mkdir(exist_ok=True)
    record = {**machine("accelerate", "dask"), "results": results}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if set(PARTS) <= set(results):
        text = tables(results)
        print(text)
        RESULTS.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2])
    else:
        main(sys.argv[1:])
