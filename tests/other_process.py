"""What test_other_processes.py does in new processes: python other_process.py FILE.

Prints JSON: what came out of each job. Nothing else may be printed, by no process.
"""

import ctypes
import json
import os
import socket
import sys


class NoNetwork(Exception):
    """Something has asked for the network."""


def refuse(*args, **kwargs):
    """Stand in for whatever reaches a network."""
    raise NoNetwork(args)


for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
sys.addaudithook(
    lambda event, args: (
        event.startswith("socket.")
        and event not in ("socket.__new__", "socket.gethostname")
        and refuse(event)
    )
)
try:
    socket.create_connection(("localhost", 80))
except NoNetwork:
    pass
else:
    raise SystemExit("the network is not blocked")

# What scikit-learn and skorch import of optional libraries does not count.
import sklearn  # noqa: F401
import skorch  # noqa: F401
import torch

before = set(sys.modules)
import sklearn_cpc.datasets
import sklearn_cpc.metrics
import sklearn_cpc.nn

new = sorted({name.split(".")[0] for name in set(sys.modules) - before})
has_tokenizers = "tokenizers" in sys.modules

import hashlib
import pickle
import warnings

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from sklearn_cpc import CPCTextTransformer, CPCTransformer
from sklearn_cpc._data.texts import TextReader
from sklearn_cpc._data.tokenizers import train_byte_pairs

torch.set_num_threads(1)


def digest(array):
    """Return what only equal bits have in common."""
    return hashlib.sha256(array.tobytes()).hexdigest()


def fork():
    """Read texts in a process, and in its fork: tokenizers warns on stderr."""
    reader = TextReader.learn(
        ["a b"] * 9, unit="token", lowercase=True, tokenizer="bpe", size=300
    )
    reader.read(["a b"])
    child = os.fork()
    reader.read(["b a"])
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def sequences():
    """Fit as test_other_processes.py does."""
    X = np.random.default_rng(0).normal(size=(20, 50, 2)).cumsum(1)
    options = {"latent_size": 8, "max_epochs": 3, "early_stopping": True}
    return CPCTransformer(**options, random_state=7).fit_transform(X)


def texts():
    """Fit on the description of a data set."""
    X = load_iris().DESCR.split(".")
    cpc = CPCTextTransformer(
        vocabulary_size=400, latent_size=8, max_epochs=1, random_state=0
    )
    return cpc.fit_transform(X)


def files(path):
    """Return whether a file and a pickle hold the same model."""
    X = sklearn_cpc.datasets.load_japanese_vowels().data[:20]
    cpc = CPCTransformer(max_epochs=1, latent_size=8).fit(X)
    cpc.save(path)
    loaded = CPCTransformer.load(path), pickle.loads(pickle.dumps(cpc))
    return bool(np.array_equal(*(model.transform(X) for model in loaded)))


class Usage(ctypes.Structure):
    """What glibc says of its memory."""

    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]


def n_mapped():
    """Return how many blocks glibc maps for 30 MiB that are wanted; None if unknown."""
    usage = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if usage is None:
        return None
    usage.restype = Usage
    before = usage().field3
    block = torch.empty(30 * 2**20, dtype=torch.uint8)
    found = usage().field3 - before
    del block
    return found


if __name__ == "__main__":
    status = fork()  # before there are threads: Python warns of forks with threads
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = {
        "new modules": new,
        "has tokenizers": has_tokenizers,
        "status of the fork": status,
        "byte pairs": train_byte_pairs(["aa ab", "ab ba"] * 50, 260)[0],
        "sequences": digest(sequences()),
        "texts": digest(texts()),
        "files": files(sys.argv[1]),
        "mapped": n_mapped(),
    }
    print(json.dumps(results))
