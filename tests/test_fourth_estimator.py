"""A new kind of data in one file: strings of symbols, such as DNA."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from sklearn_cpc._base import BaseCPC
from sklearn_cpc.nn import CausalConv, Encoder, register
from sklearn_cpc.nn.initialization import build


@dataclass(frozen=True)
class Symbols:
    """The source: strings as codes from 1 on; 0 is padding."""

    codes: list[np.ndarray]
    ragged = True

    def __len__(self):
        return len(self.codes)

    @property
    def lengths(self):
        return np.array([len(code) for code in self.codes])

    def take(self, rows):
        return Symbols([self.codes[row] for row in rows])

    def batch(self, rows, starts=None, size=None):
        starts = np.zeros(len(rows), int) if starts is None else starts
        stops = starts + (self.lengths.max() if size is None else size)
        windows = zip(rows, starts, stops, strict=True)
        parts = [torch.tensor(self.codes[row][a:b]) for row, a, b in windows]
        values = nn.utils.rnn.pad_sequence(parts, batch_first=True)[..., None]
        return values.float().numpy(), np.array([len(part) for part in parts])


@register
class SymbolEncoder(Encoder):
    """Embeddings and a causal convolution."""

    crop_length, skip_steps = 64, 4

    def __init__(self, n_symbols, latent_size):
        super().__init__()
        self.n_symbols, self.latent_size = n_symbols, latent_size
        self.embedding = nn.Embedding(n_symbols, latent_size)
        self.convolution = CausalConv(latent_size, latent_size, [4])
        self.receptive_field = 4

    def forward(self, x):
        return self.advance(x)[0]

    def advance(self, x, state=None):
        h, state = self.convolution.advance(self.embedding(x[..., 0].long()), state)
        return torch.relu(h), state


class CPCSymbolTransformer(BaseCPC):
    """Features of strings of symbols.

    Parameters
    ----------
    alphabet : str, default="ACGT"
        The symbols; others are refused.

    Attributes
    ----------
    n_channels_in_ : int
        1.
    """

    crop_length = "auto"  # not whole samples
    _architecture_parameters = ("alphabet", *BaseCPC._architecture_parameters)

    def __init__(self, *, alphabet="ACGT", latent_size=16, max_epochs=20, seed=0):
        options = {"latent_size": latent_size, "max_epochs": max_epochs}
        super().__init__(lr=5e-3, random_state=seed, **options)
        self.alphabet, self.seed = alphabet, seed

    def _read(self, X, *, reset, update=False):
        self.n_channels_in_ = 1
        return Symbols([np.array([1 + self.alphabet.index(s) for s in x]) for x in X])

    def _build_encoder(self, source, generator):
        sizes = (1 + len(self.alphabet), self.latent_size)
        return build(SymbolEncoder, generator, sizes)


def test_it_does_all_that_the_others_do(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 4, (40, 90))
    codes[:20, ::3] = codes[20:, ::4] = 0  # every third symbol is an A, or every fourth
    X = ["".join("ACGT"[code] for code in row) for row in codes]
    cpc = CPCSymbolTransformer().fit(X)
    assert cpc.score(X) > CPCSymbolTransformer(max_epochs=0).fit(X).score(X) + 1
    assert (cpc.skip_steps_, cpc.crop_length_, cpc.receptive_field_) == (4, 64, 4)
    features = cpc.transform(X)
    assert features.shape == (40, len(cpc.get_feature_names_out()))
    assert cpc.transform_steps(X[:1])[0].shape == (90, 16 + 128)
    cpc.save(tmp_path / "model")
    loaded = CPCSymbolTransformer.load(tmp_path / "model")
    for other in (loaded, pickle.loads(pickle.dumps(cpc))):
        np.testing.assert_array_equal(other.transform(X), features)
    pipe = make_pipeline(clone(cpc).set_params(max_epochs=5), LogisticRegression())
    search = GridSearchCV(pipe, {"cpcsymboltransformer__latent_size": [8]}, cv=2)
    assert search.fit(X, np.arange(40) < 20).best_score_ > 0.9


def test_in_one_file_of_under_120_lines():
    assert len(Path(__file__).read_text().splitlines()) < 120
