"""CPC as a transformer of other time series libraries; each is an extra."""

from importlib import import_module
from typing import Any

__all__ = ["CPCCollectionTransformer", "CPCPanelTransformer"]
LIBRARIES = {"CPCCollectionTransformer": "aeon", "CPCPanelTransformer": "sktime"}


def __getattr__(name: str) -> Any:
    if name not in LIBRARIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    library = LIBRARIES[name]
    try:
        import_module(library)
    except ImportError:
        raise ImportError(
            f'{name} needs {library}: pip install "sklearn-cpc[{library}]".'
        ) from None
    return getattr(import_module(f"{__name__}._{library}"), name)
