"""Importing the package imports nothing that is optional."""

import subprocess
import sys

CODE = """
import sys
import sklearn, skorch, torch
before = set(sys.modules)
import sklearn_cpc, sklearn_cpc.nn, sklearn_cpc.datasets, sklearn_cpc.metrics
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""
# What scikit-learn and skorch import of these themselves does not count.
OPTIONAL = {
    "IPython",
    "accelerate",
    "dask",
    "distributed",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "rich",
    "skops",
    "tokenizers",
}


def test_importing_the_package_imports_nothing_optional():
    run = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, text=True
    )
    new = set(run.stdout.split())
    assert "sklearn_cpc" in new
    assert not new & OPTIONAL
