"""Where the diagram of an estimator links to."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata


class DocumentationLink:
    """Links diagrams in notebooks to the page of the estimator; see scikit-learn."""

    _doc_link_module = "sklearn_cpc"

    @property
    def _doc_link_template(self) -> str:
        address = _documentation()
        page = "/generated/{estimator_module}.{estimator_name}.html"
        return address + page if address else ""


@cache
def _documentation() -> str:
    """Return the address of the documentation, as the metadata have it."""
    try:
        urls = metadata("sklearn-cpc").get_all("Project-URL") or []
    except PackageNotFoundError:  # a copy of the source that is not installed
        return ""
    named = (url.partition(", ") for url in urls)
    addresses: dict[str, str] = {name: address for name, _, address in named}
    return addresses.get("Documentation", "").rstrip("/")
