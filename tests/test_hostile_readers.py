"""Files of images and texts that somebody has made to hurt."""

import copy
import io
import json

import numpy as np
import pytest

from hostile import SMALL, attribute, changed, load_refused, resigned
from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, _persistence
from sklearn_cpc._data.tokenizers import import_tokenizers

IMAGES = np.random.default_rng(0).normal(size=(8, 12, 12))
TEXTS = ["one two three four", "two three four one", "three four one two"] * 3
OF_IMAGES = {
    "a huge image": attribute("image_shape_", (10**6, 10**6, 1)),
    "a huge grid": attribute("grid_shape_", (10**5, 10**5)),
    "a huge patch": attribute("patch_size_", 10**5),
    "no stride": attribute("patch_stride_", 0),
    "sizes of text": attribute("image_shape_", ("a", "b", "c")),
    "many channels": attribute("n_channels_in_", 10**7),
    "many overlapping rows": lambda c: c["fitted"]["model"]["parts"][
        "encoder"
    ].__setitem__(2, 10**9),
}


def of_reader(**values):
    def change(content):
        vars(content["fitted"]["attributes"]["_reader"]).update(values)

    return change


OF_TEXTS = {
    "tokens beyond the embedding": lambda c: (
        of_reader(vocabulary={"one": 2, "two": 3, "x": 4, "y": 5, "z": 6})(c),
        attribute("vocabulary_", {"one": 2, "two": 3, "x": 4, "y": 5, "z": 6})(c),
    ),
    "two vocabularies": attribute("vocabulary_", {"one": 2}),
    "another unit": of_reader(unit="sentence"),
    "a unit that is none": of_reader(unit="page"),
    "a method": of_reader(read="x"),
    "case": of_reader(lowercase=3),
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Return the bytes of files of images and of texts."""
    folder = tmp_path_factory.mktemp("others")
    options = SMALL | {"max_epochs": 1}
    CPCImageTransformer(**options).fit(IMAGES).save(folder / "images")
    CPCTextTransformer(tokenizer="word", **options).fit(TEXTS).save(folder / "texts")
    options["vocabulary_size"] = 280
    CPCTextTransformer(tokenizer="bpe", **options).fit(TEXTS).save(folder / "bpe")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_sizes_of_images(name, others, tmp_path):
    kind = CPCImageTransformer
    data = changed(others["images"], "model", OF_IMAGES[name], kind._classes())
    load_refused(tmp_path / "bad", data, kind)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_vocabularies(name, others, tmp_path):
    kind = CPCTextTransformer
    data = changed(others["texts"], "model", OF_TEXTS[name], kind._classes())
    load_refused(tmp_path / "bad", data, kind)


def with_json(change):
    """Return a change of the JSON of a tokenizer."""

    def change_reader(content):
        reader = content["fitted"]["attributes"]["_reader"]
        state = json.loads(reader.tokenizer)
        change(state)
        vars(reader)["tokenizer"] = json.dumps(state)

    return change_reader


BOMB = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 1000}
ENDLESS = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
BROKEN = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
TOKENIZERS = {
    "a bomb": lambda s: s.update(
        normalizer={"type": "Sequence", "normalizers": [BOMB] * 10}
    ),
    "an endless expression": lambda s: s.update(
        pre_tokenizer=ENDLESS | {"invert": False}
    ),
    "a panic": lambda s: s.update(normalizer=BROKEN),
    "dropout": lambda s: s["model"].update(dropout=0.5),
    "a long prefix": lambda s: s["model"].update(continuing_subword_prefix="x" * 9**5),
    "another model": lambda s: s.update(
        model={"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    ),
    "tokens beyond the embedding": lambda s: s["model"]["vocab"].update(zzz=9999),
    "an id twice": lambda s: s["model"]["vocab"].update(a=0),
    "a merge of nothing": lambda s: s["model"]["merges"].append(["no", "token"]),
    "merges that are none": lambda s: s["model"].update(merges=3),
    "a vocabulary that is none": lambda s: s["model"].update(vocab=[1, 2]),
    "no model": lambda s: s.pop("model"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_of_tokenizers_only_byte_pairs_come_from_files(name, others, tmp_path):
    kind = CPCTextTransformer
    change = with_json(TOKENIZERS[name])
    data = others["bpe"]
    content = _persistence.load(io.BytesIO(data), "model", kind._classes())
    # As it is without a look at it: the reader of the content would refuse to hold it.
    reader = content["fitted"]["attributes"]["_reader"]
    before = reader.tokenizer
    change(content)
    old, new = (json.dumps(json.dumps(text)) for text in (before, reader.tokenizer))
    assert old[1:-1].encode() in data
    load_refused(
        tmp_path / "bad", resigned(data, old[1:-1].encode(), new[1:-1].encode()), kind
    )


def test_a_ready_tokenizer_is_the_one_of_the_fit(tmp_path):
    """Its JSON is in no file; what draws tokens at random is switched off."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    def ready(**options):
        tokens = {"[UNK]": 0, "o": 1, "n": 2, "e": 3, "on": 4, "one": 5}
        merges = [("o", "n"), ("on", "e")]
        made = Tokenizer(models.BPE(tokens, merges, unk_token="[UNK]", **options))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        return made

    fitted = CPCTextTransformer(
        tokenizer=ready(dropout=0.5), max_epochs=1, **SMALL
    ).fit(TEXTS)
    features = fitted.transform(TEXTS)
    np.testing.assert_array_equal(fitted.transform(TEXTS), features)
    fitted.save(tmp_path / "model")
    assert b"merges" not in (tmp_path / "model").read_bytes()
    loaded = CPCTextTransformer.load(tmp_path / "model", tokenizer=ready())
    np.testing.assert_array_equal(loaded.transform(TEXTS), features)
    np.testing.assert_array_equal(
        copy.deepcopy(fitted).set_params(tokenizer="word").transform(TEXTS), features
    )
    other = Tokenizer(models.WordLevel({"[UNK]": 0, "one": 1}, "[UNK]"))
    with pytest.raises(ValueError, match="Tokenizer is not the one of the fit"):
        CPCTextTransformer.load(tmp_path / "model", tokenizer=other)


class PanicException(BaseException):
    """As Rust raises it: no `Exception`."""


def test_a_tokenizer_that_panics_is_an_error_with_a_name(monkeypatch):
    library = import_tokenizers()

    class Broken:
        def encode(self, *args, **kwargs):
            raise PanicException("index out of bounds")

    made = CPCTextTransformer(max_epochs=0, vocabulary_size=260, **SMALL).fit(TEXTS)
    monkeypatch.setattr(library.Tokenizer, "from_str", lambda text: Broken())
    with pytest.raises(
        ValueError, match=r"The tokenizer fails on 'one two.*: index out"
    ):
        made.transform(TEXTS)
