"""What pytest collects: no adapter to a library that is not installed."""

import doctest
import re
from importlib.util import find_spec

collect_ignore = [
    f"sklearn_cpc/adapters/_{library}.py"
    for library in ("aeon", "sktime")
    if find_spec(library) is None
]

# The examples of the pages stand in Markdown fences. The end of a fence ends what an
# example is expected to print; else doctest would take it for a part of it.
_pattern = doctest.DocTestParser._EXAMPLE_RE
doctest.DocTestParser._EXAMPLE_RE = re.compile(
    _pattern.pattern.replace("(?![ ]*>>>)", "(?![ ]*>>>)(?![ ]*```)"), _pattern.flags
)
