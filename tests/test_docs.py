"""The docs show what there is: every table, every public name, no link into nothing."""

import re
import sys
from pathlib import Path

import pytest

import sklearn_cpc
from sklearn_cpc import datasets, metrics, nn, preprocessing

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from write_tables import BLOCK, with_tables  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name != "changelog.md"]  # a copy
TABLES = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
MARKDOWN = [
    *PAGES,
    *ROOT.glob("[A-Z]*.md"),
    *ROOT.glob("benchmarks/*.md"),
    *ROOT.glob(".github/*.md"),
]
API = re.findall(
    r"^\| `(\w+)` \|", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE
)


def read(page):
    return page.read_text(encoding="utf-8")


def anchors(text):
    """Return the anchors of the headings of a page, as GitHub and Sphinx make them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_of_the_benchmarks_is_on_a_page(table):
    shown = [name for page in PAGES for _, name, _ in BLOCK.findall(read(page))]
    assert table.stem in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_benchmarks(page):
    """Else run ``python benchmarks/write_tables.py``."""
    assert read(page) == with_tables(read(page))


def test_a_table_that_differs_is_written_anew(tmp_path):
    (tmp_path / "speed.md").write_text("| new |\n", encoding="utf-8")
    page = "Text.\n<!-- results: speed -->\n| old |\n<!-- end -->\nMore."
    assert with_tables(page, tmp_path) == page.replace("old", "new")


@pytest.mark.parametrize("module", [sklearn_cpc, datasets, metrics, nn, preprocessing])
def test_every_public_name_is_in_the_api(module):
    modules = {"datasets", "metrics", "nn", "preprocessing"}
    names = {name for name in module.__all__ if name[0] != "_"} - modules
    assert names <= set(API)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("plot_*.py")))
def test_examples_are_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) < 140


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(
        r"\]\((?!https://)([^)#]*)(?:#([^)]*))?\)", read(page)
    ):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(read(linked)), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_plain_markdown(page):
    """As GitHub shows them: no roles, no directives, fences of a known language."""
    text = read(page)
    assert not re.search(r":(doc|ref|class|func|meth|mod):`|\{eval-rst\}|^\.\. ", text)
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert set(fences[::2]) <= {"bash", "pycon", "python"}, fences
    assert set(fences[1::2]) <= {""}, fences


def test_every_page_is_in_the_contents():
    contents = read(ROOT / "docs/index.md") + read(ROOT / "docs/user_guide.md")
    for page in PAGES[1:]:
        assert page.stem == "index" or f"]({page.name})" in contents, page.name
