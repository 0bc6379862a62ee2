"""The estimator for texts."""

from numbers import Integral
from typing import Any, ClassVar

import torch

from ._base import BaseCPC
from ._compat import HasMethods, Interval, StrOptions
from ._documents import N_RESERVED, TextReader, Texts, read_texts
from .nn.initialization import build
from .nn.tokens import TEXT_ENCODERS


class CPCTextTransformer(BaseCPC):
    """TODO"""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCPC._parameter_constraints,
        "unit": [StrOptions(set(TEXT_ENCODERS))],
        "tokenizer": [StrOptions({"bpe", "word"}), HasMethods(["to_str"]), callable],
        "vocabulary_size": [Interval(Integral, 1, 2**24 - N_RESERVED, closed="both")],
        "lowercase": ["boolean"],
    }
    _shaping = (
        "unit",
        "tokenizer",
        "vocabulary_size",
        "lowercase",
        *BaseCPC._shaping,
    )
    _n_updates = 2000

    def __init__(
        self,
        *,
        unit="token",
        tokenizer="bpe",
        vocabulary_size=8000,
        lowercase=True,
        context="gru",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="batch",
        temperature=0.1,
        features="all",
        pooling=("mean", "max", "std"),
        crop_length="auto",
        max_epochs="auto",
        batch_size=32,
        lr=5e-4,
        weight_decay=0.01,
        validation_fraction=0.1,
        early_stopping=False,
        n_iter_no_change=10,
        callbacks=None,
        accelerator=None,
        device="auto",
        precision="float32",
        n_jobs=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.unit = unit
        self.tokenizer = tokenizer
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self.context = context
        self.latent_size = latent_size
        self.context_size = context_size
        self.prediction_steps = prediction_steps
        self.skip_steps = skip_steps
        self.n_negatives = n_negatives
        self.negatives = negatives
        self.temperature = temperature
        self.features = features
        self.pooling = pooling
        self.crop_length = crop_length
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.accelerator = accelerator
        self.device = device
        self.precision = precision
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def _steps(self) -> str:
        return f"{self.unit}s"

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit and return the features of the same texts, also of a generator."""
        return super().fit_transform(read_texts(X, type(self).__name__), y, **fit_params)

    def _read(self, X: Any, reset: bool, update: bool = False) -> Texts:
        """Read texts; the vocabulary is learned on `reset`."""
        texts = read_texts(X, type(self).__name__)
        if reset:
            self._reader = TextReader.learn(
                texts,
                unit=self.unit,
                lowercase=self.lowercase,
                tokenizer=self.tokenizer,
                size=self.vocabulary_size,
            )
            self.vocabulary_ = self._reader.vocabulary
            self.n_channels_in_ = 1
        return self._reader.read(texts)

    def _build_encoder(
        self, source: Texts, generator: torch.Generator
    ) -> torch.nn.Module:
        """Return a new encoder with an embedding for every token."""
        make = TEXT_ENCODERS[self.unit]
        n_tokens = len(self.vocabulary_) + N_RESERVED
        return build(lambda: make(n_tokens, self.latent_size), generator)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
