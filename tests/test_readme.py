"""The README shows what is true: its numbers, its example, its commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", re.findall("<!-- results: (.*) -->", README))
def test_tables_are_those_of_the_benchmarks(name):
    shown = re.search(f"<!-- results: {name} -->\n(.*?)<!-- end -->", README, re.DOTALL)
    written = ROOT / "benchmarks" / "results" / f"{name}.md"
    assert shown[1] == written.read_text(encoding="utf-8")


def test_commands_are_one_line_each():
    for name in ("quickstart", "tests"):
        (command,) = re.findall(f"<!-- command: {name} -->\n```bash\n(.*)\n```", README)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_quickstart_speaks_before_it_imports():
    """The imports take seconds, on a busy machine many."""
    (script,) = re.findall(r"bin/python (examples/\w+\.py)\n", README)
    code = (
        "import runpy, sys; sys.modules['matplotlib'] = None;"
        "runpy.run_path(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT / script], capture_output=True, text=True
    )
    assert done.stdout.startswith("Who is speaking?")
    assert "matplotlib" in done.stderr


@pytest.mark.slow
def test_example_runs():
    (code,) = re.findall("```python\n(.*?)```", README, re.DOTALL)
    *lines, last = code.strip().splitlines()
    names = {}
    exec("\n".join(lines), names)
    expression, claimed = last.split("  # ")
    assert eval(expression, names) == pytest.approx(float(claimed), abs=0.015)
