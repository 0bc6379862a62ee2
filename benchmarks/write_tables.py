"""Write the tables of the benchmarks into README and docs.

    python benchmarks/write_tables.py [--check]

A page has each table between the lines ``<!-- results: NAME -->`` and ``<!-- end -->``;
NAME is a file of `results/`. Run this after a benchmark; `tests/test_docs.py` fails
until the tables are the same. ``--check`` only says which pages differ.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages():
    """Return the pages that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_tables(text, results=RESULTS):
    """Return a page with the tables as the files have them."""

    def table(match):
        written = (results / f"{match[2]}.md").read_text(encoding="utf-8")
        return match[1] + written + match[3]

    return BLOCK.sub(table, text)


def main(check):
    """Write the tables that differ; return how many pages differed."""
    different = 0
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            different += 1
            print(f"{page.name} {'differs' if check else 'written'}")
            if not check:
                page.write_text(after, encoding="utf-8")
    return different


if __name__ == "__main__":
    only_check = "--check" in sys.argv[1:]
    sys.exit(bool(main(only_check)) and only_check)
