"""The estimator for texts."""

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, ClassVar, cast

import numpy as np
import torch

from ._base import CROP_LENGTH, BaseCPC, Words
from ._compat import HasMethods, Interval, StrOptions
from ._data.embeddings import (
    common_component,
    cooccurrence_vectors,
    smooth_inverse_frequencies,
)
from ._data.source import Source
from ._data.texts import N_RESERVED, TextReader, Texts, read_texts
from ._data.vectors import vectors_of
from .nn.encoders import TEXT_ENCODERS, Encoder, SentenceEncoder, TokenEncoder
from .nn.initialization import build
from .nn.model import Model
from .nn.pooling import POOLINGS
from .training.architecture import AutoDefaults, StepWords

# A word that occurs once teaches nothing of other texts, unless it has a vector: with
# 500 texts, the features are 5 to 12 points better without such words.
RAREST_WORD = 2


class CPCTextTransformer(BaseCPC):
    r"""Features of texts, learned without labels by recognising what comes next.

    A text is a sequence of tokens, or of sentences. The model encodes them into latents
    :math:`z_t` and summarises the latents up to :math:`t` as the context :math:`c_t`.
    From :math:`c_t`, it learns to recognise the true :math:`z_{t+k}` among latents of
    other positions, the negatives. `transform` pools the activations of the trained
    model into one vector for each text, for any classifier or regressor of
    scikit-learn.

    Parameters
    ----------
    unit : {"token", "sentence"}, default="token"
        The step. "token": the model embeds tokens and predicts future tokens; for texts
        of any length. "sentence", as in the paper: embeddings, a convolution and the
        mean over its tokens encode a sentence, and the model predicts future sentences;
        for texts of many sentences.
    tokenizer : {"bpe", "word"}, tokenizers.Tokenizer or callable, default="bpe"
        "bpe": byte-level byte-pair encoding, trained by `fit`, which knows every
        character; needs the extra ``text``. "word": the words of scikit-learn's
        vectorizers, two letters or digits at least. A ready tokenizer of the library
        `tokenizers`; its special tokens are left out. A function from a str to a list
        of str.
    vocabulary_size : int, default=8000
        Largest number of known tokens: the tokens of the byte-pair encoding, at least
        256, or the most frequent ones. All others are one unknown token, also words
        that occur once, unless they come with vectors of your own. Few texts give fewer
        byte pairs: each occurs at least 8 times.
    lowercase : bool, default=False
        Whether texts are lowercased before they are split into tokens.
    embeddings : str, mapping, model or tuple, default="cooccurrence"
        The vectors of tokens. "cooccurrence": a factorisation of the pointwise mutual
        information of tokens in the same texts. "random": learned with the model from
        random ones. Or your own vectors: a mapping from token to vector; a model of
        gensim (``KeyedVectors``), fastText or model2vec (``StaticModel``); a pair
        ``(vectors, tokens)`` of an array of shape (n_tokens, size), or the path of a
        safetensors file with one, and the tokens in its order or a mapping from token
        to row. A token without a vector gets zeros. Training changes random vectors
        only.
    crop_length : int, "auto" or None, default="auto"
        Longest window, in steps, that one update sees of a text. Longer texts are
        cropped at random. "auto" is 48 tokens or 32 sentences, None takes whole texts.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        The known tokens, and the row of the embedding of each. Row 0 is padding, row 1
        the unknown token.

    See Also
    --------
    CPCTransformer : The same for time series.
    sklearn.feature_extraction.text.TfidfVectorizer : Weighted counts of words.

    Notes
    -----
    `X` is an iterable of str, as for scikit-learn's vectorizers: a list, an array, a
    series of pandas or polars, a generator. A text without tokens, such as the empty
    one, becomes a single unknown token. It has features, but teaches nothing, like
    every text of a single step.

    A sentence ends after ``.``, ``!``, ``?`` or an ellipsis before white space, after
    the full stops of East Asian scripts, and at an empty line. A sentence of more than
    64 tokens is cut.

    The features of a text do not depend on its padding or on other texts. Vectors and
    contexts are pooled to length 1, so that a linear classifier needs no scaling, but
    less regularisation than usual, such as ``LogisticRegression(C=10)``.

    References
    ----------
    A. van den Oord, Y. Li, O. Vinyals (2018), Representation Learning with
    Contrastive Predictive Coding, arXiv:1807.03748, section 3.3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris, load_wine
    >>> from sklearn_cpc import CPCTextTransformer
    >>> texts = load_iris().DESCR.split("\n\n") + load_wine().DESCR.split("\n\n")
    >>> cpc = CPCTextTransformer(tokenizer="word", max_epochs=2, random_state=0)
    >>> features = cpc.fit_transform(texts)
    >>> features.shape == (len(texts), len(cpc.get_feature_names_out()))
    True
    >>> cpc.transform(["", "Unseen words, 東京, 😀"]).shape == features[:2].shape
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCPC._parameter_constraints,
        "unit": [StrOptions(set(TEXT_ENCODERS))],
        "tokenizer": [StrOptions({"bpe", "word"}), HasMethods(["to_str"]), callable],
        "vocabulary_size": [Interval(Integral, 1, 2**24 - N_RESERVED, closed="both")],
        "lowercase": ["boolean"],
        "embeddings": [
            StrOptions({"cooccurrence", "random"}),
            Mapping,
            HasMethods(["get_vector"]),  # gensim
            HasMethods(["get_word_vector"]),  # fastText
            HasMethods(["encode", "tokenize"]),  # model2vec
            tuple,
        ],
        "crop_length": CROP_LENGTH,
    }
    _architecture_parameters = (
        "unit",
        "tokenizer",
        "vocabulary_size",
        "lowercase",
        *BaseCPC._architecture_parameters,
    )
    _auto_defaults = AutoDefaults(
        updates=400,
        updates_within=400,
        epochs=1,
        most_updates=1500,
        prediction_steps=3,
        skip_steps=0,
        negatives_within="batch",
    )
    _words = Words(sample="text", kept="vocabulary")
    _poolings = tuple(POOLINGS)
    _fitted_types: ClassVar[dict[str, Any]] = {
        **BaseCPC._fitted_types,
        "_reader": (TextReader,),
        "vocabulary_": dict,
    }
    _reader: TextReader
    vocabulary_: dict[str, int]

    def __init__(
        self,
        *,
        unit="token",
        tokenizer="bpe",
        vocabulary_size=8000,
        lowercase=False,
        embeddings="cooccurrence",
        context="gru",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="auto",
        n_anchors="auto",
        temperature=0.1,
        features="auto",
        pooling="direction",
        crop_length="auto",
        max_epochs="auto",
        batch_size=64,
        lr=2e-3,
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
        start=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            context=context,
            latent_size=latent_size,
            context_size=context_size,
            prediction_steps=prediction_steps,
            skip_steps=skip_steps,
            n_negatives=n_negatives,
            negatives=negatives,
            n_anchors=n_anchors,
            temperature=temperature,
            features=features,
            pooling=pooling,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            n_iter_no_change=n_iter_no_change,
            callbacks=callbacks,
            accelerator=accelerator,
            device=device,
            precision=precision,
            n_jobs=n_jobs,
            warm_start=warm_start,
            start=start,
            random_state=random_state,
            verbose=verbose,
        )
        self.unit = unit
        self.tokenizer = tokenizer
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self.embeddings = embeddings
        self.crop_length = crop_length

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit, then return the features of the same texts.

        Parameters
        ----------
        X : iterable of str
            The texts; a generator is read once.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        **fit_params : dict
            Parameters of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            See `transform`.
        """
        texts = list(X) if isinstance(X, Iterator) else X
        return super().fit_transform(texts, y, **fit_params)

    def _read(self, X: Any, *, reset: bool, update: bool = False) -> Texts:
        texts = read_texts(X, type(self).__name__)
        if reset:
            self._reader = TextReader.learn(
                texts,
                unit=self.unit,
                lowercase=self.lowercase,
                tokenizer=self.tokenizer,
                size=self.vocabulary_size,
                rarest=RAREST_WORD if isinstance(self.embeddings, str) else 1,
            )
            self.vocabulary_ = self._reader.vocabulary
            self.n_channels_in_ = 1
        return self._reader.with_tokenizer(self.tokenizer).read(texts)

    def _build_encoder(self, source: Source, generator: torch.Generator) -> Encoder:
        texts = cast(Texts, source)
        n_tokens = len(self.vocabulary_) + N_RESERVED
        vectors = self._vectors(texts, n_tokens, generator)
        size = self.latent_size if vectors is None else vectors.shape[1]
        sizes = n_tokens, self.latent_size, size, vectors is not None, True
        encoder = build(TEXT_ENCODERS[self.unit], generator, sizes)
        weights = smooth_inverse_frequencies(texts, n_tokens)
        if vectors is None:
            encoder.fill(weights)
        else:
            encoder.fill(weights, vectors, common_component(texts, vectors, weights))
        return encoder

    def _vectors(
        self, texts: Texts, n_tokens: int, generator: torch.Generator
    ) -> np.ndarray | None:
        """Return the vectors of tokens; None if training learns them."""
        named = self.embeddings if isinstance(self.embeddings, str) else None
        if named == "random":
            return None
        if named == "cooccurrence":
            seed = int(torch.randint(2**31, (), generator=generator))
            rng = np.random.default_rng(seed)
            return cooccurrence_vectors(texts, n_tokens, self.latent_size, rng)
        return vectors_of(self.vocabulary_, self.embeddings)

    def _check_restored(self, attributes: dict[str, Any], model: Model) -> None:
        reader, encoder = attributes["_reader"], model.encoder
        if (
            attributes["vocabulary_"] != reader.vocabulary
            or attributes["n_channels_in_"] != 1
            or not isinstance(encoder, TokenEncoder | SentenceEncoder)
            or type(encoder) is not TEXT_ENCODERS[reader.unit]
            or encoder.n_tokens != len(reader.vocabulary) + N_RESERVED
        ):
            raise ValueError("the vocabulary does not suit the embeddings")
        reader.with_tokenizer(self.tokenizer).read(["A text, to try it."])

    def _step_words(self) -> StepWords:
        return StepWords(f"{self._reader.unit}s", "longer texts")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
