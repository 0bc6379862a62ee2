"""The shared parameters: written once, the same in all estimators."""

import inspect
import re
import runpy
from pathlib import Path

import pytest

import sklearn_cpc
from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, CPCTransformer
from sklearn_cpc._base import BaseCPC
from sklearn_cpc._base.docstrings import complete
from sklearn_cpc._base.parameters import ATTRIBUTES, SHARED, SharedParameters

ESTIMATORS = [CPCTransformer, CPCImageTransformer, CPCTextTransformer]
PACKAGE = Path(sklearn_cpc.__file__).parent
SCRIPT = Path(__file__).parent.parent / ".ci" / "write_signatures.py"
# Paragraphs that an estimator words itself.
OWN = {
    CPCTransformer: {"skip_steps"},
    CPCImageTransformer: {
        "context", "latent_size", "context_size", "skip_steps", "features",
        "downsampling_", "receptive_field_",
    },
    CPCTextTransformer: set(),
}  # fmt: skip


def paragraphs(estimator, section):
    """Return the heading and the words of each paragraph of a docstring's section."""
    doc = inspect.getdoc(estimator)
    body = doc.partition(f"{section}\n{'-' * len(section)}\n")[2].partition("\n\n")[0]
    found = {}
    for paragraph in re.split(r"^(?=\w)", body, flags=re.MULTILINE)[1:]:
        heading, _, words = paragraph.partition("\n")
        found[heading.partition(" : ")[0]] = (heading, " ".join(words.split()))
    return found


def defaults(estimator):
    signature = inspect.signature(estimator)
    return {name: p.default for name, p in signature.parameters.items()}


def test_each_shared_parameter_is_in_the_table_and_in_the_constructor():
    assert list(SHARED) == list(defaults(SharedParameters))


def test_signatures_are_as_the_script_writes_them(capsys):
    main = runpy.run_path(str(SCRIPT))["main"]
    assert main(PACKAGE, check=True) == 0, capsys.readouterr().out


def test_the_script_adds_a_parameter_where_it_belongs():
    names = runpy.run_path(str(SCRIPT))
    source = (PACKAGE / "_text.py").read_text(encoding="utf-8")
    shared = names["defaults"](source)
    shared = {"first": "1", **{n: v for n, v in shared.items() if n in SHARED}}
    after = names["rewritten"](source, shared | {"last": '"x"'})
    added = names["defaults"](after)
    assert next(iter(added)) == "first"
    assert list(added)[-1] == "last"
    assert "            last=last,\n        )" in after
    rest = {name: value for name, value in added.items() if name not in shared}
    assert rest == {
        "unit": '"token"',
        "tokenizer": '"bpe"',
        "vocabulary_size": "8000",
        "lowercase": "False",
        "embeddings": '"cooccurrence"',
        "crop_length": '"auto"',
        "last": '"x"',
    }


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_documented_in_its_place_with_its_default(estimator):
    documented = paragraphs(estimator, "Parameters")
    assert list(documented) == list(defaults(estimator))
    for name, default in defaults(estimator).items():
        heading, words = documented[name]
        shown = heading.rpartition("default=")[2]
        assert eval(shown) == default, heading
        assert words.endswith(".")
        assert not set("{}") & set(words.replace('{"', "").replace('"}', ""))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_shared_paragraphs_are_those_of_the_table(estimator):
    words = estimator._words._asdict()
    words |= {name.capitalize(): word.capitalize() for name, word in words.items()}
    words["auto"] = estimator._auto_defaults
    table = {
        "Parameters": {name: shared.description for name, shared in SHARED.items()},
        "Attributes": {
            name: description for name, (_, description) in ATTRIBUTES.items()
        },
    }
    for section, descriptions in table.items():
        documented = paragraphs(estimator, section)
        for name in descriptions.keys() - OWN[estimator]:
            expected = " ".join(descriptions[name].split()).format_map(words)
            assert documented[name][1] == expected


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_constraints_are_those_of_the_table(estimator):
    for name, parameter in SHARED.items():
        assert estimator._parameter_constraints[name] is parameter.constraint


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_own_paragraphs_are_those_that_the_class_writes(estimator):
    source = inspect.getsource(estimator)
    written = {name for name in (*SHARED, *ATTRIBUTES) if f"\n    {name} : " in source}
    assert written == OWN[estimator]


def test_classes_without_docstrings_stay_without():
    class Undocumented:
        pass

    complete(Undocumented, {})
    assert Undocumented.__doc__ is None


def test_a_base_class_is_no_estimator():
    with pytest.raises(TypeError, match="abstract"):
        BaseCPC()
