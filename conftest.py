"""What pytest collects: no adapter to a library that is not installed."""

from importlib.util import find_spec

collect_ignore = [
    f"sklearn_cpc/adapters/_{library}.py"
    for library in ("aeon", "sktime")
    if find_spec(library) is None
]
