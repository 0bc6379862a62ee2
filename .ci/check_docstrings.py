"""Validate the docstrings of all public names with numpydoc; print what is wrong.

The checks to leave out are those of [tool.numpydoc_validation] in pyproject.toml.
"""

import importlib
import importlib.util
import inspect
import sys
import tomllib
from pathlib import Path

from numpydoc.validate import validate

MODULES = (
    "sklearn_cpc",
    "sklearn_cpc.nn",
    "sklearn_cpc.datasets",
    "sklearn_cpc.metrics",
    "sklearn_cpc.preprocessing",
)
if all(importlib.util.find_spec(library) for library in ("aeon", "sktime")):
    MODULES += ("sklearn_cpc.adapters",)
# Documented by the metadata routing of scikit-learn, which generates them.
GENERATED = {"set_fit_request", "set_partial_fit_request"}


def public_names():
    """Yield the dotted name of every public object and of its own methods."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            yield f"{module_name}.{name}"
            public = getattr(module, name)
            if not inspect.isclass(public):
                continue
            for method, function in inspect.getmembers(public, callable):
                here = getattr(function, "__module__", None) or ""
                # `forward` is documented with its class, the others with the base
                # class.
                if (
                    here.startswith("sklearn_cpc")
                    and not method.startswith("_")
                    and method
                    not in GENERATED | {"forward", "advance", "advance_layers"}
                ):
                    yield f"{module_name}.{name}.{method}"


def main():
    """Print every fault; return how many there are."""
    config = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    ignored = set(config["tool"]["numpydoc_validation"]["checks"]) - {"all"}
    names = list(public_names())
    faults = [
        f"{name}: {code} {message}"
        for name in names
        for code, message in validate(name)["errors"]
        if code not in ignored
    ]
    print("\n".join(faults))
    print(f"{len(names)} docstrings, {len(faults)} faults")
    return len(faults)


if __name__ == "__main__":
    sys.exit(bool(main()))
