"""What pytest collects, and how it reads the examples of the pages."""

import doctest
import re
from importlib.util import find_spec

collect_ignore = [
    f"sklearn_cpc/adapters/_{library}.py"
    for library in ("aeon", "sktime")
    if find_spec(library) is None
]

# What Sphinx runs or has written: examples that take minutes, pages of the API.
collect_ignore += [
    f"docs/{name}"
    for name in ("_build", "_ext", "auto_examples", "conf.py", "generated")
]

# The examples of the pages stand in Markdown fences. The end of a fence ends what an
# example is expected to print; else doctest would take it for a part of it.
_pattern = doctest.DocTestParser._EXAMPLE_RE
doctest.DocTestParser._EXAMPLE_RE = re.compile(
    _pattern.pattern.replace("(?![ ]*>>>)", "(?![ ]*>>>)(?![ ]*```)"), _pattern.flags
)
