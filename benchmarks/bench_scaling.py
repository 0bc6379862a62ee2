"""How seconds and peak memory grow with samples, length, channels and negatives.

    python benchmarks/bench_scaling.py [--repeats 3] [--quick]    (extra plot)

One thing grows, the others stay: 1,000 samples of 128 steps and one channel, a small
model (16 latents), 128 negatives. An epoch of `fit` and a `transform` of them; with
negatives, the loss of 8 x 128 anchors in 256 dimensions among those of 17,408
latents. Every point is a process of its own, which first warms up with the smallest
size; the median of its repeats, and by how much its peak memory grows (Linux), the data
themselves not counted. An exponent b is fitted to ``seconds = a size^b`` over the
points of the last two decades by least squares of the logarithms: below, what costs the
same for any size weighs too much. One thread, and seconds of the CPU, which
hardly depend on what else runs. Half an hour, ten minutes with ``--repeats 1``.
Writes JSON with all points, a Markdown table and a plot to benchmarks/results.
"""

import json
import sys
import time
import warnings

import numpy as np
import torch
from measuring import MIB, RESULTS, in_child, options, peak_memory, table, write
from step_losses import Given

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn import CPCLoss, CPCOutput

BASE = {"samples": 1_000, "length": 128, "channels": 1}
GROWING = {
    "samples": [1_000, 3_000, 10_000, 30_000, 100_000],
    "length": [100, 1_000, 10_000, 100_000, 1_000_000],
    "channels": [1, 4, 16, 64, 256],
    "negatives": [16, 64, 256, 1_024, 4_096, 16_384],
}
# Of long sequences there need not be many: an epoch covers all of their steps.
FEW = {"length": {"samples": 16}}
METHODS = ("fit", "transform", "loss")


def estimator(X):
    """Return a fitted, small model whose strides suit windows of 128 steps."""
    cpc = CPCTransformer(latent_size=16, context_size=16, max_epochs=0, random_state=0)
    return cpc.fit(X[:, :128])


def walks(samples, length, channels):
    """Return random walks, float32."""
    X = np.random.default_rng(0).standard_normal(
        (samples, length, channels), dtype=np.float32
    )
    return np.cumsum(X, 1, out=X)


def fit_step(**sizes):
    """Return a function that fits for an epoch."""
    X = walks(**sizes)
    cpc = estimator(X).set_params(max_epochs=1, warm_start=True, crop_length=128)
    return lambda: cpc.fit(X)


def transform_step(**sizes):
    """Return a function that transforms."""
    X = walks(**sizes)
    cpc = estimator(X)
    return lambda: cpc.transform(X)


def loss_step(negatives):
    """Return a function that computes a loss and its gradients."""
    z = torch.randn(136, 128, 256, requires_grad=True)
    c = torch.randn(8, 128, 256)
    predictions = torch.randn(8, 127, 12, 256, requires_grad=True)
    loss, lengths = CPCLoss(n_negatives=negatives), torch.full((136,), 128)
    return lambda: torch.autograd.grad(
        loss(CPCOutput(z, c, Given(predictions), lengths)).loss,
        [z, predictions],
    )


STEPS = {"fit": fit_step, "transform": transform_step, "loss": loss_step}


def sizes_of(name, size):
    """Return all sizes where one of them grows."""
    if name == "negatives":
        return {name: size}
    return BASE | FEW.get(name, {}) | {name: size}


def child(method, name, size, n_repeats):
    """Return seconds and the bytes that the peak memory grows by."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    STEPS[method](**sizes_of(name, GROWING[name][0]))()
    step = STEPS[method](**sizes_of(name, int(size)))
    before, seconds = peak_memory(), []
    for _ in range(int(n_repeats)):
        begin = time.process_time()
        step()
        seconds.append(time.process_time() - begin)
    return {"seconds": seconds, "bytes": peak_memory() - before}


def exponent(sizes, seconds):
    """Return the fitted power with which seconds grow over the last two decades."""
    sizes, seconds = np.array(sizes, float), np.array(seconds)
    last = sizes >= sizes[-1] / 100
    return float(np.polyfit(np.log(sizes[last]), np.log(seconds[last]), 1)[0])


def curves(results):
    """Yield what grows, the method, sizes, seconds and bytes of every curve."""
    for key, points in results.items():
        name, method = key.split(", ")
        seconds = [np.median(point["seconds"]) for point in points.values()]
        grown = [point["bytes"] for point in points.values()]
        yield name, method, [int(size) for size in points], seconds, grown


def tables(results):
    """Return the table of all results, in Markdown."""
    rows = [
        (
            name,
            method,
            f"{sizes[0]:,} to {sizes[-1]:,}",
            f"{exponent(sizes, seconds):.2f}",
            f"{seconds[0]:.3f} to {seconds[-1]:.3f}",
            f"{grown[0] / MIB:.0f} to {grown[-1] / MIB:.0f}",
        )
        for name, method, sizes, seconds, grown in curves(results)
    ]
    return table(["grows", "of", "from", "exponent", "seconds", "memory, MiB"], rows)


def plot(results, path):
    """Draw seconds and memory against each size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(2, len(GROWING), sharex="col")
    for name, method, sizes, seconds, grown in curves(results):
        above, below = axes[:, list(GROWING).index(name)]
        label = f"{method}, exponent {exponent(sizes, seconds):.2f}"
        above.loglog(sizes, seconds, ".-", label=label)
        below.semilogx(sizes, np.array(grown) / MIB, ".-")
        above.legend(
            title=name, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize="small"
        )
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory, MiB")
    figure.savefig(path)


def main():
    """Measure all and write the results."""
    chosen = options(__doc__, repeats=3)
    results = {}
    for name, growing in GROWING.items():
        for method in METHODS[2:] if name == "negatives" else METHODS[:2]:
            points = results[f"{name}, {method}"] = {}
            for size in growing[:-2] if chosen.quick else growing:
                n_repeats = 1 if chosen.quick else chosen.repeats
                points[size] = in_child(__file__, method, name, size, n_repeats)
                print(name, method, size, points[size], flush=True)
    if not chosen.quick:
        plot(results, RESULTS / "scaling.svg")
    write("scaling", results, tables(results), chosen.quick)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        print(json.dumps(child(*sys.argv[1:])))
    else:
        main()
