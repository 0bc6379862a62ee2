"""torch lives in nn/, skorch in training/, scikit-learn at the top."""

import ast
from pathlib import Path

import pytest

import sklearn_cpc

ROOT = Path(sklearn_cpc.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# What of the package, and of other libraries, the files of a place may import;
# the first pattern that a file matches counts. numpy goes everywhere.
RULES = {
    "_sequence.py": {
        "_base",
        "_compat",
        "_export",
        "_fitting",
        "_inputs",
        "_parameters",
        "_scaling",
        "_streaming",
        "nn",
        "sklearn",
        "torch",
    },
    "_image.py": {
        "_base",
        "_compat",
        "_image_inputs",
        "_parameters",
        "_scaling",
        "nn",
        "training",
        "torch",
    },
    "_image_inputs.py": {"_inputs", "_scaling", "sklearn"},
    "_text.py": {"_base", "_compat", "_documents", "_parameters", "nn", "torch"},
    "_export.py": {
        "_inputs",
        "_persistence",
        "_scaling",
        "nn",
        "onnx",
        "onnxruntime",
        "sklearn",
        "torch",
    },
    "_displays/*": {"_displays", "matplotlib", "sklearn"},
    "_streaming.py": {"_inputs", "_runtime", "_scaling", "nn", "torch"},
    "_parameters.py": {"_compat", "nn", "torch"},
    "_base.py": {
        "_parameters",
        "_compat",
        "_documentation",
        "_fitting",
        "_runtime",
        "_saving",
        "nn",
        "training",
        "sklearn",
        "torch",
    },
    "_fitting.py": {
        "_diagnostics",
        "_runtime",
        "nn",
        "training",
        "sklearn",
        "skorch",
        "torch",
    },
    "_saving.py": {
        "_fitting",
        "_persistence",
        "_recipes",
        "_runtime",
        "nn",
        "training",
        "sklearn",
        "torch",
    },
    "_recipes.py": {"nn", "torch"},
    "_persistence.py": {"safetensors", "torch"},
    "_scaling.py": {"_inputs", "sklearn"},
    "_inputs.py": {"sklearn"},
    "_documents.py": {"sklearn", "tokenizers"},
    "_diagnostics.py": {"metrics", "sklearn"},
    "metrics.py": {"sklearn"},
    "_runtime.py": {"torch", "joblib"},
    "_compat.py": {"sklearn"},
    "_documentation.py": set(),
    "datasets/*": {"datasets", "sklearn"},
    "training/*": {"_persistence", "nn", "training", "torch", "skorch", "tqdm"},
    "nn/*": {"nn", "torch"},
    "__init__.py": {
        "_displays",
        "_image",
        "_persistence",
        "_sequence",
        "_text",
        "training",
    },
}
STANDARD = {
    "abc",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "functools",
    "glob",
    "hashlib",
    "importlib",
    "inspect",
    "io",
    "itertools",
    "json",
    "math",
    "mmap",
    "numbers",
    "os",
    "pathlib",
    "re",
    "shutil",
    "time",
    "typing",
    "uuid",
    "warnings",
    "zlib",
}


def imported(path):
    """Yield the library, or the part of the package, of every import of a file."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            inside = [*base, *(node.module or node.names[0].name).split(".")]
            yield inside[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = path.relative_to(ROOT)
    allowed = next(rule for pattern, rule in RULES.items() if name.match(pattern))
    assert set(imported(path)) - STANDARD - {"numpy"} <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_nn_has_no_circle():
    """Each file of nn/ imports only files that do not, in turn, import it."""
    graph = {}
    for path in (ROOT / "nn").glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text()))
        graph[path.stem] = {
            node.module
            for node in tree
            if isinstance(node, ast.ImportFrom) and node.level
        }
    done = set()
    while rest := set(graph) - done:
        ready = {name for name in rest if graph[name] <= done}
        assert ready, f"circle among {rest}"
        done |= ready
