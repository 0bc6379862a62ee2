"""The docs show what there is: every table, every public name."""

import re
from pathlib import Path

import pytest

import sklearn_cpc
from sklearn_cpc import datasets, metrics, nn, preprocessing

ROOT = Path(__file__).parent.parent
PAGES = "\n".join(
    page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.rst"))
)
TABLES = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
MARKDOWN = [
    *ROOT.glob("*.md"),
    *ROOT.glob("benchmarks/*.md"),
    *ROOT.glob(".github/*.md"),
]
API = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_of_the_benchmarks_is_on_a_page(table):
    assert f"include:: ../benchmarks/results/{table.name}\n" in PAGES


@pytest.mark.parametrize("module", [sklearn_cpc, datasets, metrics, nn, preprocessing])
def test_every_public_name_is_in_the_api(module):
    assert set(module.__all__) <= set(API)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("plot_*.py")))
def test_examples_are_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) < 140


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target
