"""Latency of streams: 10 ms of 16 kHz audio at a time, one and 100 side by side.

    python benchmarks/bench_stream.py

The default model with ``encoder="audio"``, untrained: latency does not depend on the
weights. One thread. Medians of 200 chunks after 20 to warm up.
"""

import time

import numpy as np
import torch

from sklearn_cpc import CPCTransformer

RATE, CHUNK = 16_000, 160


def latency(cpc, n_streams):
    """Return the median seconds of one chunk."""
    stream = cpc.stream(n_streams)
    shape = CHUNK if n_streams is None else (n_streams, CHUNK)
    chunk = np.random.default_rng(0).normal(size=shape)
    seconds = []
    for _ in range(220):
        begin = time.perf_counter()
        stream.push(chunk)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[20:]))


def main():
    """Print both latencies."""
    torch.set_num_threads(1)
    waves = np.random.default_rng(0).normal(size=(4, RATE))
    cpc = CPCTransformer(encoder="audio", max_epochs=0, random_state=0).fit(waves)
    for n_streams in (None, 100):
        seconds = latency(cpc, n_streams)
        print(
            f"{n_streams or 1:3d} streams: {1e3 * seconds:.2f} ms for a chunk of "
            f"{1e3 * CHUNK / RATE:.0f} ms"
        )


if __name__ == "__main__":
    main()
