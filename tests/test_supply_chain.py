"""The package reaches no network and executes no data."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_cpc

FILES = sorted(Path(sklearn_cpc.__file__).parent.rglob("*.py"))

OFFLINE = """
import socket, sys

class NoNetwork(Exception):
    pass

def refuse(*args, **kwargs):
    raise NoNetwork(args)

for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
sys.addaudithook(lambda event, args: event.startswith("socket.") and event not in
    ("socket.__new__", "socket.gethostname") and refuse(event))

try:
    socket.create_connection(("localhost", 80))
except NoNetwork:
    pass
else:
    raise SystemExit("the network is not blocked")

import pickle
import numpy as np
from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

X = load_japanese_vowels().data[:20]
cpc = CPCTransformer(max_epochs=1, latent_size=8).fit(X)
cpc.save(sys.argv[1])
loaded = CPCTransformer.load(sys.argv[1])
assert np.array_equal(loaded.transform(X), pickle.loads(pickle.dumps(cpc)).transform(X))
print("done")
"""


def test_the_network_is_not_used(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path / "model")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "done\n", done.stderr


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {
    "cloudpickle",
    "ctypes",
    "http",
    "marshal",
    "pickle",
    "requests",
    "shelve",
    "socket",
    "subprocess",
    "urllib",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_can_execute_data(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                assert name not in FORBIDDEN_CALLS
            case ast.Attribute(value=ast.Name(id="torch"), attr=name):
                assert name not in {"load", "hub", "jit"}
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=allowed)):
                assert not allowed
            case ast.Import(names=names):
                modules = {alias.name.split(".")[0] for alias in names}
                assert not modules & FORBIDDEN_MODULES
            case ast.ImportFrom(module=str(module), level=0):
                assert module.split(".")[0] not in FORBIDDEN_MODULES
