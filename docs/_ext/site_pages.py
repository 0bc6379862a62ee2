"""What the site adds to pages that are plain Markdown, as GitHub shows them.

- Links to files of the repository lead to their page of the site, or to the repository.
- The pages of a list between ``<!-- pages -->`` and ``<!-- end -->`` are the contents.
- Every name in a table of api.md gets a page. A public name in code becomes a link.
- Tables of results get a small font.
"""

import inspect
import os
import re
from importlib import import_module, metadata
from pathlib import Path

from docutils import nodes
from inventories import FULL, SHORT
from sphinx import addnodes

MODULES = ("", ".metrics", ".preprocessing", ".datasets", ".adapters", ".nn")
FULL_NAMES = {
    name: f"sklearn_cpc{module}.{name}"
    for module in reversed(MODULES)
    for name in import_module(f"sklearn_cpc{module}").__all__
    if name[0] != "_" and name not in {"metrics", "nn", "datasets", "preprocessing"}
}
LINK = re.compile(r"\]\(\.\./([^)#\s]*)(#[^)\s]*)?\)")
CONTENTS = re.compile(r"<!-- pages -->\n(.*?)<!-- end -->", re.DOTALL)
PAGES = {"CHANGELOG.md": "changelog.md", "examples": "auto_examples/index.rst"}


# By task; the others follow by name.
EXAMPLES = (
    "quickstart",
    "similarity",
    "anomaly",
    "attribution",
    "speech",
    "pretrained_speech",
    "images",
    "text",
    "search",
    "halving",
    "displays",
)


def order_of_examples(name):
    """Return a key by which the gallery is sorted."""
    task = name.removeprefix("plot_").removesuffix(".py")
    return EXAMPLES.index(task) if task in EXAMPLES else len(EXAMPLES), name


def repository():
    """Return the address of the source, as the metadata of the package have it."""
    urls = metadata.metadata("sklearn-cpc").get_all("Project-URL") or []
    return dict(url.split(", ") for url in urls)["Source"]


def local_links(app, docname, source):
    """Turn links to files of the repository into links of the site."""
    if os.fspath(app.env.doc2path(docname))[-3:] != ".md":
        return

    def target(match):
        path, anchor = match[1].rstrip("/"), match[2] or ""
        example = re.fullmatch(r"examples/(plot_\w+)\.py", path)
        if path.endswith((".png", ".svg")):
            return match[0]
        if example:
            return f"](auto_examples/{example[1]}.rst)"
        if path in PAGES:
            return f"]({PAGES[path]}{anchor})"
        if path.startswith("docs/"):
            return f"]({path.removeprefix('docs/')}{anchor})"
        return f"]({repository()}/blob/main/{path}{anchor})"

    text = LINK.sub(target, source[0])
    for listed in CONTENTS.findall(text):
        pages = re.findall(r"\]\(([\w/.]+)\.(?:md|rst)\)", listed)
        text += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"
    if docname == "api":
        pages = [f"generated/{name}" for name in documented(text)]
        text += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"
    source[0] = text


def documented(text):
    """Return the full names in the tables of api.md."""
    return [FULL_NAMES[name] for name in re.findall(r"^\| `(\w+)` \|", text, re.M)]


def write_pages(app):
    """Write a page for every public name, and the changelog."""
    folder = Path(app.srcdir)
    changelog = folder.parent / "CHANGELOG.md"
    _write(folder / "changelog.md", changelog.read_text(encoding="utf-8"))
    (folder / "generated").mkdir(exist_ok=True)
    scripts = (folder.parent / "examples").glob("plot_*.py")
    examples = "\n".join(script.read_text(encoding="utf-8") for script in scripts)
    for name in documented((folder / "api.md").read_text(encoding="utf-8")):
        module, _, short = name.rpartition(".")
        lines = [short, "=" * len(short), "", f".. currentmodule:: {module}", ""]
        if not is_class(name):
            lines += [f".. autofunction:: {short}"]
        elif module.endswith(".nn"):
            lines += [
                f".. autoclass:: {short}",
                "    :members:",
                "    :exclude-members: forward",
                "    :inherited-members: Module",
            ]
        elif "Error" in short or "Warning" in short:
            lines += [f".. autoexception:: {short}"]
        else:
            lines += [
                f".. autoclass:: {short}",
                "    :members:",
                "    :inherited-members: BaseEstimator",
                "    :exclude-members: get_metadata_routing, set_fit_request, "
                "set_output, set_partial_fit_request",
            ]
        if re.search(rf"\b{short}\b", examples):
            lines += ["", f".. minigallery:: {name}"]
            lines += [f"    :add-heading: Examples with {short}"]
        _write(folder / "generated" / f"{name}.rst", "\n".join(lines) + "\n")


def is_class(name):
    """Return whether a public name is a class; adapters need more to be imported."""
    module, _, short = name.rpartition(".")
    return module.endswith(".adapters") or inspect.isclass(
        getattr(import_module(module), short)
    )


def _write(path, text):
    """Write a file if it differs: a page that has changed is read again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def full_name(text):
    """Return the full name of a public object or method that some code names."""
    text = text.removesuffix("()")
    if text in FULL or text in SHORT:
        return SHORT.get(text, text)
    if text in FULL_NAMES.values():
        return text
    owner, _, method = text.removeprefix("sklearn_cpc.").rpartition(".")
    name = FULL_NAMES.get(owner or method)
    if name is None or not owner:
        return name
    module, _, short = name.rpartition(".")
    if ".adapters." in name or not hasattr(
        getattr(import_module(module), short), method
    ):
        return None
    return f"{name}.{method}"


def link_names(app, doctree):
    """Turn public names in code into references."""
    for literal in list(doctree.findall(nodes.literal)):
        name = full_name(literal.astext())
        ancestor = literal.parent
        while ancestor is not None and not isinstance(
            ancestor, nodes.reference | nodes.title | addnodes.pending_xref
        ):
            ancestor = ancestor.parent
        if name is None or ancestor is not None:
            continue
        reference = addnodes.pending_xref(
            "",
            refdomain="py",
            reftype="obj",
            reftarget=name,
            refdoc=app.env.docname,
            refwarn=False,
        )
        literal.replace_self(reference)
        reference += literal


def small_tables(app, doctree):
    """Mark the tables between ``<!-- results: ... -->`` and ``<!-- end -->``."""
    for comment in doctree.findall(nodes.raw):
        if not comment.astext().startswith("<!-- results:"):
            continue
        for node in comment.findall(descend=False, siblings=True):
            if isinstance(node, nodes.raw) and "<!-- end" in node.astext():
                break
            if isinstance(node, nodes.table):
                node["classes"].append("numbers")


def setup(app):
    """Connect everything."""
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("source-read", local_links)
    app.connect("doctree-read", link_names)
    app.connect("doctree-read", small_tables)
    return {"parallel_read_safe": True}
