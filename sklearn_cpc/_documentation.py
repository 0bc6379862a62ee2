"""Where the documentation is."""

from importlib.metadata import PackageNotFoundError, metadata


def page_template() -> str:
    """Return the address of an estimator's page, for scikit-learn's HTML diagrams.

    It begins with what the metadata of the installed package call "Documentation";
    empty, for no link, if they name nothing.
    """
    try:
        urls = metadata("sklearn-cpc").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    if "Documentation" not in named:
        return ""
    site = named["Documentation"].rstrip("/")
    return site + "/generated/{estimator_module}.{estimator_name}.html"
