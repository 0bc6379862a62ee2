"""What a GPU does: the tests that need one, updates, and many windows transformed.

    python benchmarks/bench_gpu.py [--device cuda] [--repeats 5] [--quick]

No numbers exist yet: this script has never run on a GPU, only with --quick on a CPU.
After the first run, put `results/gpu.md` on a page (docs/performance.md).

- Tests: those in tests/test_devices.py that need CUDA, in a process of their own. The
  exit status is 1 if one fails, after the rest was measured.
- Agreement: the largest difference of a feature on the device from the same feature on
  the CPU, with products and convolutions in TF32 and without.
- Updates: the paper's model of audio (windows of 20,480 samples, 512 latents, a context
  of 256, 12 steps ahead) and the default model (windows of 128 steps, 3 channels), in
  float32 and in bf16. "Part of the bf16 rate": operations of an update (products and
  convolutions, counted on the CPU) in a second, as a part of the operations in a second
  of a square bf16 product of 8,192 rows, measured in turn. "Busy": the part of an
  update in which a kernel runs, by torch.profiler, which does not slow kernels down.
- Transform: 1e5 windows of 128 steps and 3 channels by the untrained default model,
  copies to and from the device included.

Random walks of fixed seeds; medians of repeats after one to warm up. Made for less than
eight minutes on one GPU with pytest installed; half a minute with --quick. Writes JSON
and Markdown tables, with the name of the device, to benchmarks/results.
"""

import copy
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from measuring import interleaved, options, product_rate, ratio, table, write
from skorch.callbacks import Callback
from torch.autograd import DeviceType
from updates import Clock, operations, wait, walks

from sklearn_cpc import CPCTransformer

TESTS = Path(__file__).parent.parent / "tests" / "test_devices.py"
PRODUCT = "matrix product"
PRECISIONS = ("float32", "bf16")
AUDIO = {
    "encoder": "audio",
    "latent_size": 512,
    "context_size": 256,
    "prediction_steps": 12,
    "batch_size": 64,
}
# Name: (options, samples, steps, channels, epochs).
MODELS = {
    "audio": (AUDIO, 512, 20_480, 1, 3),
    "default": ({}, 1024, 128, 3, 4),
}
TINY = {
    "audio": (
        AUDIO | {"latent_size": 8, "context_size": 8, "batch_size": 4},
        8,
        4_096,
        1,
        1,
    ),
    "default": ({"latent_size": 8, "context_size": 8}, 64, 64, 3, 1),
}
N_WINDOWS, N_TINY = 100_000, 256
PRODUCT_SIZE, N_PRODUCTS = 8192, 10


def say(text, begin):
    """Print what is being done, and after how many seconds."""
    print(f"{time.perf_counter() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)


# ---- tests and agreement


def cuda_tests():
    """Run the tests that need CUDA; return the last line of pytest and whether all ran.

    Without a GPU all are skipped, and pytest is content.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-k", "cuda", str(TESTS)]
    run = subprocess.run(
        [*command, "-m", "slow or not slow"],
        cwd=TESTS.parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    if run.returncode:
        print(run.stdout, file=sys.stderr)
    return {
        "outcome": run.stdout.strip().splitlines()[-1].strip("= "),
        "passed": run.returncode == 0,
    }


def set_tf32(precision):
    """Let products, convolutions and recurrent layers use TF32 ("tf32") or not."""
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision
    torch.backends.cudnn.rnn.fp32_precision = precision


def agreement(models, device):
    """Return the largest difference of features from the CPU, by model and TF32."""
    backends = (
        torch.backends.cuda.matmul,
        *(getattr(torch.backends.cudnn, name) for name in ("conv", "rnn")),
    )
    before = [backend.fp32_precision for backend in backends]
    found = {}
    for name, (chosen, n_samples, *shape, _) in models.items():
        X = walks(min(n_samples, 64), *shape)
        cpc = CPCTransformer(**chosen, device=device, max_epochs=1, random_state=0)
        cpc.fit(X)
        features = {}
        for precision in ("ieee", "tf32"):
            set_tf32(precision)
            features[precision] = cpc.transform(X)
        for backend, known in zip(backends, before, strict=True):
            backend.fp32_precision = known
        cpc.net_.module_.cpu()
        cpc.device_ = "cpu"
        expected = cpc.transform(X)
        found[name] = {
            precision: float(np.abs(values - expected).max())
            for precision, values in features.items()
        }
    return found


# ---- updates


class Profile(Callback):
    """Profile the updates of a fit."""

    def on_train_begin(self, net, **kwargs):
        """Start."""
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self.profiler = torch.profiler.profile(activities=activities)
        self.profiler.start()

    def on_train_end(self, net, **kwargs):
        """Stop."""
        wait(net.device)
        self.profiler.stop()

    def busy(self, device):
        """Return the seconds in which at least one kernel ran on the device."""
        kind = DeviceType.CUDA if device.startswith("cuda") else DeviceType.CPU
        spans = sorted(
            (event.time_range.start, event.time_range.end)
            for event in self.profiler.events()
            if event.device_type == kind and not event.is_user_annotation
        )
        total, until = 0, -np.inf
        for start, end in spans:
            total += max(0, end - max(start, until))
            until = max(until, end)
        return total / 1e6


def update_of(cpc, X):
    """Return a function that makes one update's products, on the CPU."""
    net = cpc.net_
    model = copy.deepcopy(net.module_).cpu().train()
    loss = copy.deepcopy(net.criterion_).cpu()
    x, lengths = cpc._read_fitted(X).batch(np.arange(min(len(X), cpc.batch_size)))
    x, lengths = torch.from_numpy(x), torch.from_numpy(lengths)
    return lambda: loss(*model(x, lengths)).loss.backward()


def bench_updates(model, precision, device, n_repeats, product_size):
    """Train a model: seconds of an update, its operations, rate and busy time."""
    chosen, *shape, n_epochs = model
    X, clock, within = walks(*shape), Clock(), []
    product, n_product = product_rate(device, torch.bfloat16, product_size)
    cpc = CPCTransformer(
        **chosen,
        crop_length=shape[1],
        precision=precision,
        device=device,
        max_epochs=n_epochs,
        random_state=0,
        callbacks=[clock],
    )

    def products():
        for _ in range(N_PRODUCTS):
            product()
        wait(device)

    ways = {
        PRODUCT: products,
        "fit": lambda: within.append(cpc.fit(X) and clock.seconds),
    }
    seconds = interleaved(ways, n_repeats)
    n_updates = n_epochs * -(-len(X) // cpc.batch_size)
    seconds["fit"] = [value / n_updates for value in within[1:]]
    seconds[PRODUCT] = [value / N_PRODUCTS for value in seconds[PRODUCT]]
    n_operations = operations(update_of(cpc, X))
    profile = Profile()
    cpc.set_params(callbacks=[profile]).fit(X)
    update = float(np.median(seconds["fit"]))
    return {
        "seconds": seconds,
        "operations": n_operations,
        "of_product": n_product,
        "samples_per_second": len(X) / n_updates * n_epochs / update,
        "part_of_product": n_operations / n_product / ratio(seconds, "fit", PRODUCT),
        "busy": min(1.0, profile.busy(device) / n_updates / update),
    }


# ---- transform


def bench_transform(model, n_windows, precision, device, n_repeats):
    """Return the seconds that an untrained model takes to transform many windows."""
    chosen, _, *shape, _ = model
    X = walks(n_windows, *shape)
    cpc = CPCTransformer(
        **chosen, precision=precision, device=device, max_epochs=0, random_state=0
    )
    cpc.fit(X[:1024])
    ways = {"transform": lambda: cpc.transform(X)}
    return {"n_windows": n_windows, **interleaved(ways, n_repeats)}


# ---- tables


def tables(results):
    """Return the tables of all results, in Markdown."""
    updates = [
        (
            f"{name}, {precision}",
            f"{1e3 * np.median(found['seconds']['fit']):.1f}",
            f"{found['samples_per_second']:.0f}",
            f"{found['part_of_product']:.3f}",
            f"{found['busy']:.2f}",
        )
        for name, precisions in results["updates"].items()
        for precision, found in precisions.items()
    ]
    transforms = [
        (
            precision,
            found["n_windows"],
            f"{np.median(found['transform']):.2f}",
            f"{found['n_windows'] / np.median(found['transform']):.0f}",
        )
        for precision, found in results["transform"].items()
    ]
    differences = [
        (name, f"{found['ieee']:.1e}", f"{found['tf32']:.1e}")
        for name, found in results["agreement"].items()
    ]
    header = ["model", "update, ms", "samples per second", "part of the bf16 rate"]
    return "\n\n".join(
        [
            f"Device: {results['device']}. Tests that need CUDA: "
            f"{results['tests']['outcome']}.",
            table([*header, "busy"], updates),
            table(
                ["transform", "windows", "seconds", "windows per second"], transforms
            ),
            table(["features from the CPU's", "float32", "TF32"], differences),
        ]
    )


def main():
    """Measure all and write the results; return the exit status."""
    begin = time.perf_counter()
    chosen = options(__doc__, device="cuda", repeats=5)
    warnings.simplefilter("ignore")
    device, n_repeats = chosen.device, chosen.repeats
    models, n_windows, product_size = MODELS, N_WINDOWS, PRODUCT_SIZE
    if chosen.quick:
        models, n_windows, product_size, n_repeats = TINY, N_TINY, 64, 1
        device = device if torch.cuda.is_available() else "cpu"
    elif not torch.cuda.is_available():
        sys.exit("There is no GPU (torch.cuda.is_available() is False); see --quick.")
    on_gpu = device.startswith("cuda")
    say("tests that need CUDA", begin)
    results = {
        "device": torch.cuda.get_device_name(device) if on_gpu else "the CPU",
        "tests": cuda_tests(),
    }
    say("agreement with the CPU", begin)
    results["agreement"] = agreement(models, device)
    results["updates"], results["transform"] = {}, {}
    for name, model in models.items():
        results["updates"][name] = {}
        for precision in PRECISIONS:
            say(f"updates, {name}, {precision}", begin)
            results["updates"][name][precision] = bench_updates(
                model, precision, device, n_repeats, product_size
            )
    for precision in PRECISIONS:
        say(f"transform, {precision}", begin)
        results["transform"][precision] = bench_transform(
            models["default"], n_windows, precision, device, n_repeats
        )
    results["minutes"] = (time.perf_counter() - begin) / 60
    write("gpu", results, tables(results), chosen.quick)
    return 0 if results["tests"]["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
