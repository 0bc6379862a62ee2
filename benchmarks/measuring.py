"""What the benchmarks of speed and memory share."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, CPCTransformer

RESULTS = Path(__file__).parent / "results"
MIB = 2**20


def options(description, **defaults):
    """Return the command line: ``--quick``, ``--threads``, ``--repeats``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="few repeats, small sizes, nothing written"
    )
    for name, value in defaults.items():
        many = {"nargs": "+"} if isinstance(value, list) else {}
        kind = type(value[0] if many else value)
        parser.add_argument(f"--{name}", type=kind, default=value, **many)
    return parser.parse_args()


def interleaved(ways, n_repeats):
    """Return seconds of each way, by repeat: all of them in turn, after one to warm up.

    What else the machine does then slows all of them alike, and ratios stay.
    """
    for way in ways.values():
        way()
    seconds = {name: [] for name in ways}
    for _ in range(n_repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(seconds, one, other):
    """Return the median over repeats of ``one / other``."""
    return float(np.median(np.divide(seconds[one], seconds[other])))


def peak_memory():
    """Return the most bytes this process ever had in memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def in_child(script, *arguments, n_threads=1):
    """Run a script in a process of its own and return the JSON that it prints last."""
    environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
    command = [sys.executable, script, *map(str, arguments)]
    run = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def product_rate(device="cpu", dtype=torch.float32, size=1024):
    """Return a function that makes one square matrix product, and its operations."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out), 2 * size**3


def defaults():
    """Return the default parameters of the estimators, as text."""
    estimators = CPCTransformer(), CPCImageTransformer(), CPCTextTransformer()
    return {
        type(estimator).__name__: {
            name: repr(value) for name, value in estimator.get_params().items()
        }
        for estimator in estimators
    }


def commit():
    """Return the commit that is measured; a plus sign marks changes after it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    run = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def machine(*packages):
    """Return what the numbers are measured with."""
    found = {
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    for package in ("scikit-learn", "skorch", "torch", "numpy", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return {**found, "defaults": defaults()}


def table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def saved(name):
    """Return the results that were saved under a name, for more to be merged in."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8"))["results"] if path.exists() else {}


def save(name, results, text, *packages):
    """Write results, and tables as Markdown."""
    record = {**machine(*packages), "results": results}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


def write(name, results, text, quick, *packages):
    """Print the tables, and write them and the results unless it was a quick run."""
    record = {**machine(*packages), "defaults": "..."}
    print(text, json.dumps(record), sep="\n\n")
    if not quick:
        save(name, results, text, *packages)
