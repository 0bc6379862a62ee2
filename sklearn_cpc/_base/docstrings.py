"""Docstrings of the estimators: shared paragraphs, written once.

The docstring of a class describes the parameters and attributes in which it differs.
The others are added from `parameters`, in the order of the signature.
"""

import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from .parameters import ATTRIBUTES, SHARED

INDENT = "    "
# Columns of the source code.
WIDTH = 88


def complete(cls: type, words: Mapping[str, Any]) -> None:
    """Add the shared paragraphs to the docstring of an estimator.

    Parameters
    ----------
    cls : type
        An estimator with the sections Parameters and Attributes in its docstring.
    words : mapping
        Fills in the words in braces.
    """
    if cls.__doc__ is None:  # python -OO
        return
    parameters = {
        name: f"{name} : {SHARED[name].kind}, default={_shown(parameter.default)}\n"
        + _wrapped(SHARED[name].description, words)
        for name, parameter in inspect.signature(cls).parameters.items()
        if name in SHARED
    }
    attributes = {
        name: f"{name} : {kind}\n{_wrapped(description, words)}"
        for name, (kind, description) in ATTRIBUTES.items()
    }
    order = list(inspect.signature(cls).parameters)
    doc = _with_paragraphs(cls.__doc__, "Parameters", parameters, order)
    cls.__doc__ = _with_paragraphs(doc, "Attributes", attributes, list(attributes))


def _with_paragraphs(
    doc: str, section: str, shared: Mapping[str, str], order: list[str]
) -> str:
    """Add the shared paragraphs that a section lacks, in this order."""
    heading = f"{INDENT}{section}\n{INDENT}{'-' * len(section)}\n"
    before, found, rest = doc.partition(heading)
    if not found:
        return doc
    own, _, after = rest.partition("\n\n")
    paragraphs = re.split(rf"^(?={INDENT}\w)", own + "\n", flags=re.MULTILINE)
    written = {p.split(" : ")[0].strip(): p for p in paragraphs if p}
    added = {
        name: textwrap.indent(paragraph, INDENT) + "\n"
        for name, paragraph in shared.items()
        if name not in written
    }
    together = written | added
    ordered = sorted(together, key=lambda n: order.index(n) if n in order else -1)
    section_text = "".join(together[name] for name in ordered)
    return f"{before}{heading}{section_text}\n{after}"


def _wrapped(description: str, words: Mapping[str, Any]) -> str:
    """Return an indented paragraph with its words filled in."""
    text = " ".join(description.split()).format_map(words)
    return textwrap.fill(
        text,
        WIDTH - len(INDENT),
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_on_hyphens=False,
    )


def _shown(default: object) -> str:
    """Return a default value as numpydoc shows it, strings in double quotes."""
    return repr(default).replace("'", '"')
