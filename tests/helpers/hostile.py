"""Files of models and checkpoints that are changed on purpose, and what they meet."""

import hashlib
import io
import re
import resource

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCTransformer, ModelFileError, _persistence
from sklearn_cpc.training.checked_state import GENERATOR

X = np.random.default_rng(0).normal(size=(16, 40, 2)).cumsum(1)
SMALL = {"latent_size": 8, "context_size": 8, "random_state": 0}


def changed(data, kind, change, classes=()):
    """Return a file with another content, and a right checksum."""
    content = _persistence.load(io.BytesIO(data), kind, classes)
    change(content)
    return _persistence.dump(content, kind, classes)


def resigned(data, old, new):
    """Return a file with another header, with its right size and checksum."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = data[8:end].replace(old, new)
    digest = re.search(rb'sha256\\": \\"([0-9a-f]{64})', header).group(1)
    header = header.replace(digest, b"0" * 64)
    start = len(header).to_bytes(8, "little")
    right = hashlib.sha256(start + header + data[end:]).hexdigest().encode()
    return start + header.replace(b"0" * 64, right, 1) + data[end:]


def generator(**numbers):
    """Return the state of torch's generator with other numbers at its start."""

    def new(state):
        raw = bytearray(state.numpy().tobytes())
        fields = dict(
            zip(
                ("seed", "left", "seeded", "next"),
                GENERATOR.unpack_from(raw),
                strict=True,
            )
        )
        GENERATOR.pack_into(raw, 0, *(fields | numbers).values())
        return torch.frombuffer(raw, dtype=torch.uint8)

    return new


def attribute(name, value):
    def change(content):
        content["fitted"]["attributes"][name] = value

    return change


def peak():
    """Return the most bytes that this process has had since the last call."""
    with open("/proc/self/status") as file:
        high = next(line for line in file if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return int(high.split()[1]) * 1024


def load_refused(path, data, kind=CPCTransformer):
    """Check that a file is refused by name, in little memory and time."""
    path.write_bytes(data)
    peak()
    start = peak()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(ModelFileError, match=str(path)):
        kind.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 2
    assert peak() - start < 10 * len(data) + 50 * 2**20


def write(path, data):
    path.write_bytes(data)
    return path
