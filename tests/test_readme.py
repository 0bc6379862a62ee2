"""The README shows what is true: its example and its commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_it_is_short():
    assert len(README.split()) <= 950


@pytest.mark.slow
def test_example_prints_what_it_shows(capsys):
    code, *_ = re.findall("```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    (claimed,) = re.findall(r"print\(.*\)  # (.*)", code)
    assert float(capsys.readouterr().out) == pytest.approx(float(claimed), abs=0.015)
