"""Seconds to import sklearn_cpc, beside those of the libraries it stands on.

    python benchmarks/bench_import.py [--repeats 15] [--quick]

Each import in a new process, in turn; medians. Under two minutes. Writes JSON and
Markdown tables to benchmarks/results.
"""

import subprocess
import sys
import time

import numpy as np
from measuring import interleaved, options, ratio, table, write

WAYS = {
    "python": "pass",
    "torch": "import torch",
    "torch, scikit-learn, skorch": "import torch, sklearn, skorch",
    "sklearn_cpc": "import sklearn_cpc",
}
BASE, OURS = list(WAYS)[2:]


def main():
    """Measure and write."""
    chosen = options(__doc__, repeats=15)
    ways = {
        name: lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)
        for name, code in WAYS.items()
    }
    begin = time.perf_counter()
    seconds = interleaved(ways, 3 if chosen.quick else chosen.repeats)
    rows = [
        (f"`{WAYS[name]}`", f"{np.median(s):.2f}", f"{ratio(seconds, name, BASE):.2f}")
        for name, s in seconds.items()
    ]
    text = table(["a new process", "seconds", "ratio"], rows)
    text += f"\n\nMeasured in {time.perf_counter() - begin:.0f} s."
    write("import", seconds, text, chosen.quick)


if __name__ == "__main__":
    main()
