"""The package executes no data; test_other_processes.py blocks the network."""

import ast
from pathlib import Path

import pytest

import sklearn_cpc

FILES = sorted(Path(sklearn_cpc.__file__).parent.rglob("*.py"))

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
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    # torch.jit.is_tracing only asks.
    harmless = [n.value for n in nodes if getattr(n, "attr", None) == "is_tracing"]
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name)):
                assert name not in FORBIDDEN_CALLS
            case ast.Attribute(value=ast.Name(id="torch"), attr=name) if (
                node not in harmless
            ):
                assert name not in {"load", "hub", "jit"}
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=allowed)):
                assert not allowed
            case ast.Import(names=names):
                modules = {alias.name.split(".")[0] for alias in names}
                assert not modules & FORBIDDEN_MODULES
            case ast.ImportFrom(module=str(module), level=0):
                assert module.split(".")[0] not in FORBIDDEN_MODULES
