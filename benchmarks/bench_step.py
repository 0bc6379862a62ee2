"""How near an update, the loss and `transform` are to what the machine can do.

    python benchmarks/bench_step.py [--threads 1 2] [--repeats 15] [--quick]

"fit": an update within `fit` beside the same module in a bare PyTorch loop on batches
that lie ready. "loss": InfoNCE of 8 x 128 anchors, 256 dimensions, 12 steps ahead, 128
negatives, forward and backward, with and without the matrices W_k, beside the way
published code does it: every anchor gathers negatives of its own, in a loop over the
steps. Beside `info-nce-pytorch`, too, whose loss with shared negatives does the same
work (extra `benchmark`). Not beside NTXentLoss of lightly or of
pytorch-metric-learning, which compare all pairs of a batch of views: other work.
"transform": beside the bare forward pass with the pooling, batch by batch. GPUs have a
script of their own, bench_gpu.py.

All that is compared runs in turn within one process; medians of ratios. Rates are parts
of that of a square matrix product of 1,024 rows, measured in the same turns; operations
are those of matrix products and convolutions. Peak memory is that of a process of its
own. Random walks of fixed seeds, one thread. About five minutes for each number of
threads on an idle machine, one with --quick. Writes JSON and Markdown tables to
benchmarks/results.
"""

import copy
import json
import sys
import time
import warnings

import numpy as np
import torch
from measuring import (
    MIB,
    in_child,
    interleaved,
    options,
    peak_memory,
    product_rate,
    ratio,
    table,
    write,
)
from step_losses import LOSSES, N_AHEAD, N_SAMPLES, N_STEPS, SIZE, Given, own_loss
from updates import Clock, operations, walks

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn import CPCLoss, CPCOutput, LinearPredictor

PRODUCT = "matrix product"


# Samples, steps and channels of what is fitted and transformed.
SIZES = {"128 steps": (256, 128, 3), "512 steps": (256, 512, 3)}


# ---- fit and transform


def bare_loop(cpc, X, n_epochs):
    """Return a function that trains a copy of the module, with nothing around it."""
    net = copy.deepcopy(cpc.net_)
    model, loss = net.module_.train(), net.criterion_
    optimizer = torch.optim.AdamW(model.parameters(), lr=cpc.lr, fused=True)
    x = torch.from_numpy(cpc._read_fitted(X).batch(np.arange(len(X)))[0])
    batches = [(part, torch.full((len(part),), x.shape[1])) for part in x.split(32)]

    def train():
        for _ in range(n_epochs):
            for part, lengths in batches:
                optimizer.zero_grad(set_to_none=True)
                loss(*model(part, lengths)).loss.backward()
                optimizer.step()

    return train


def bench_fit(shape, n_repeats):
    """Return seconds of the updates of a fit and of the bare loop, and operations."""
    X, clock, n_epochs, within = walks(*shape), Clock(), 2, []
    cpc = CPCTransformer(max_epochs=n_epochs, random_state=0, callbacks=[clock])
    ways = {
        "fit": lambda: within.append(cpc.fit(X) and clock.seconds),
        "bare loop": bare_loop(cpc.fit(X), X, n_epochs),
    }
    product, n_product = product_rate()
    seconds = interleaved({PRODUCT: product, **ways}, n_repeats)
    seconds["fit"] = within[1:]  # without the one to warm up
    n_updates = n_epochs * -(-len(X) // 32)
    return {
        "seconds": seconds,
        "n_updates": n_updates,
        "operations": operations(ways["bare loop"]),
        "of_product": n_product,
    }


def bench_transform(shape, n_repeats):
    """Return seconds of `transform` and of what must be computed for it."""
    X = walks(*shape)
    cpc = CPCTransformer(max_epochs=0, random_state=0).fit(X)
    extract, model = cpc._pooled_features().eval(), cpc.net_.module_
    x = torch.from_numpy(cpc._read_fitted(X).batch(np.arange(len(X)))[0])

    @torch.inference_mode()
    def forward(function):
        outputs = [function(part) for part in x.split(64)]
        return torch.cat(outputs).numpy()

    lengths = torch.full((64,), x.shape[1])
    ways = {
        "transform": lambda: cpc.transform(X),
        "forward, pooled": lambda: forward(lambda p: extract(p, lengths[: len(p)])),
        "forward": lambda: forward(lambda p: model.context(model.encoder(p))),
    }
    return {"seconds": interleaved(ways, n_repeats)}


# ---- loss


def loss_step(loss, with_matrices, gradients=torch.autograd.grad):
    """Return a function that computes the loss and all gradients."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(*shape, generator=generator).requires_grad_()

    z, c = randn(N_SAMPLES, N_STEPS, SIZE), randn(N_SAMPLES, N_STEPS, SIZE)
    predictor = LinearPredictor(SIZE, SIZE, N_AHEAD)
    if with_matrices:
        predictions, wanted = None, [z, c, *predictor.parameters()]
    else:
        predictions = randn(N_SAMPLES, N_STEPS - 1, N_AHEAD, SIZE)
        wanted = [z, predictions]
    return lambda: gradients(loss(c, z, predictor, predictions), wanted)


def bench_loss(with_matrices, n_repeats, n_threads):
    """Return seconds and peak memory of the losses, and the operations of ours."""
    product, n_product = product_rate()
    seconds = {}
    quick = {name: loss for name, loss in LOSSES.items() if name != "gathering"}
    # What takes seconds gets fewer turns.
    for chosen, n in ((quick, n_repeats), (LOSSES, max(1, n_repeats // 5))):
        steps = {name: loss_step(loss, with_matrices) for name, loss in chosen.items()}
        seconds |= {
            "slow " * (chosen is LOSSES) + name: values
            for name, values in interleaved({PRODUCT: product, **steps}, n).items()
        }
    step = loss_step(own_loss, with_matrices, lambda value, _: value.backward())
    memory = {}
    if not with_matrices:  # that of the matrices is the same for all
        for name in LOSSES:
            memory[name] = in_child(__file__, "memory", name, n_threads=n_threads)
    return {
        "seconds": seconds,
        "operations": operations(step),
        "of_product": n_product,
        "memory": memory,
    }


def child_memory(name):
    """Return the bytes that one loss and its gradients add to a process's peak."""
    torch.set_num_threads(1)
    step = loss_step(LOSSES[name], with_matrices=False)
    before = peak_memory()
    step()
    return peak_memory() - before


def child_many_negatives():
    """Return peaks of a process before and after it compares with 16,384 negatives."""
    torch.set_num_threads(1)
    before = peak_memory()
    z = torch.randn(136, N_STEPS, SIZE, requires_grad=True)
    # Of eight samples, as of one process of several.
    c = torch.randn(8, N_STEPS, SIZE)
    predictions = torch.randn(8, N_STEPS - 1, N_AHEAD, SIZE, requires_grad=True)
    loss = CPCLoss(n_negatives=16_384)
    lengths = torch.full((136,), N_STEPS)
    output = CPCOutput(z, c, Given(predictions), lengths)
    result = loss(output).loss
    torch.autograd.grad(result, [z, predictions])
    return before, peak_memory()


# ---- tables


def fraction(part, name):
    """Return the part of the rate of a matrix product that something reaches."""
    times = ratio(part["seconds"], name, PRODUCT)  # as long as a product
    return part["operations"] / part["of_product"] / times


def milliseconds(seconds):
    """Return the median, formatted."""
    return f"{1e3 * np.median(seconds):.1f}"


def tables(results):
    """Return the tables of all results, in Markdown."""
    parts = []
    rows, transforms, losses = [], [], []
    for n_threads, found in results["threads"].items():
        for size, fit in found["fit"].items():
            seconds, n = fit["seconds"], fit["n_updates"]
            rows.append(
                (
                    size,
                    n_threads,
                    milliseconds(np.array(seconds["fit"]) / n),
                    milliseconds(np.array(seconds["bare loop"]) / n),
                    f"{ratio(seconds, 'fit', 'bare loop'):.3f}",
                    f"{fraction(fit, 'fit'):.2f}",
                )
            )
        for size, transform in found["transform"].items():
            seconds = transform["seconds"]
            transforms.append(
                (
                    size,
                    n_threads,
                    *(milliseconds(s) for s in seconds.values()),
                    f"{ratio(seconds, 'forward, pooled', 'transform'):.2f}",
                    f"{ratio(seconds, 'forward', 'transform'):.2f}",
                )
            )
        for name, loss in found["loss"].items():
            seconds, memory = loss["seconds"], loss["memory"]
            for way in LOSSES:
                slow = f"slow {way}"
                own = way == "sklearn_cpc"
                losses.append(
                    (
                        f"{way}, {name}",
                        n_threads,
                        milliseconds(seconds.get(way, seconds[slow])),
                        f"{ratio(seconds, slow, 'slow sklearn_cpc'):.1f}",
                        f"{fraction(loss, way):.2f}" if own else "",
                        f"{memory[way] / MIB:.0f}" if memory else "",
                        f"{memory[way] / memory['sklearn_cpc']:.1f}" if memory else "",
                    )
                )
    parts.append(
        table(
            [
                "update of 32 windows of",
                "threads",
                "fit, ms",
                "bare loop, ms",
                "ratio",
                "part of the product rate",
            ],
            rows,
        )
    )
    parts.append(
        table(
            [
                "transform of 256 sequences of",
                "threads",
                "transform, ms",
                "forward and pooling, ms",
                "forward alone, ms",
                "throughput / forward and pooling",
                "/ forward alone",
            ],
            transforms,
        )
    )
    parts.append(
        table(
            [
                "loss, forward and backward",
                "threads",
                "ms",
                "times ours",
                "part of the product rate",
                "memory, MiB",
                "times ours",
            ],
            losses,
        )
    )
    parts.append(
        f"Peak of a process that compares the predictions of 8 samples with 16,384 "
        f"negatives: {results['many_negatives'][1] / MIB:.0f} MiB, of which "
        f"{results['many_negatives'][0] / MIB:.0f} before."
    )
    return "\n\n".join(parts)


def main():
    """Measure all and write the results."""
    chosen = options(__doc__, threads=[1], repeats=15)
    warnings.simplefilter("ignore")
    n_repeats = 2 if chosen.quick else chosen.repeats
    sizes = dict(list(SIZES.items())[:1]) if chosen.quick else SIZES
    begin = time.perf_counter()
    found = {}
    for n_threads in chosen.threads:
        torch.set_num_threads(n_threads)
        found[n_threads] = {
            "fit": {name: bench_fit(shape, n_repeats) for name, shape in sizes.items()},
            "transform": {
                name: bench_transform(shape, n_repeats) for name, shape in sizes.items()
            },
            "loss": {
                "predictions given": bench_loss(False, n_repeats, n_threads),
                "with the matrices": bench_loss(True, n_repeats, n_threads),
            },
        }
    results = {
        "threads": found,
        "many_negatives": in_child(__file__, "many_negatives"),
        "minutes": (time.perf_counter() - begin) / 60,
    }
    write("step", results, tables(results), chosen.quick, "info-nce-pytorch")


CHILDREN = {
    "memory": child_memory,
    "many_negatives": child_many_negatives,
}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CHILDREN:
        print(json.dumps(CHILDREN[sys.argv[1]](*sys.argv[2:])))
    else:
        main()
