"""Every guarantee of docs/reliability.md has a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_all_tests_of_the_page_exist():
    named = re.findall(r"`(tests/[^`]*\.py)::(\w+)`", PAGE)
    assert len(named) > 30
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in tests, f"{path}::{name}"


def test_every_guarantee_has_a_test():
    rows = re.findall(r"^\| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    rows = [row for row in rows if row not in {("guarantee", "test"), ("---", "---")}]
    assert len(rows) > 30
    for guarantee, proof in rows:
        assert "tests/" in proof or ".ci/run" in proof, guarantee


def test_steps_of_ci_exist():
    steps = re.findall(
        r"^ *step ([\w-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE
    )
    named = re.findall(r"steps? `(\w+)`(?: and `(\w+)`)?", PAGE)
    assert named
    assert {step for steps in named for step in steps if step} <= set(steps)
