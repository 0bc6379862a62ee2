"""The estimator for texts."""

from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar

import torch

from ._base import BaseCPC
from ._compat import HasMethods, Interval, StrOptions
from ._documents import N_RESERVED, TextReader, Texts, read_texts
from ._parameters import CROP_LENGTH
from .nn.initialization import build
from .nn.tokens import TEXT_ENCODERS


class CPCTextTransformer(BaseCPC):
    r"""Features of texts, learned without labels by predicting what comes next.

    A text is a sequence of tokens, or of sentences. They are encoded into latents
    :math:`z_t`; a context network summarises those up to :math:`t` as :math:`c_t`, and
    learns to tell the true :math:`z_{t+k}` from latents of other positions, the
    negatives. `transform` pools the activations of the trained model into one vector
    for each text, for any classifier or regressor of scikit-learn.

    Parameters
    ----------
    unit : {"token", "sentence"}, default="token"
        What a step is. "token": tokens are embedded, and future tokens predicted; for
        texts of any length. "sentence", the paper's: embeddings, a
        convolution and the mean over its tokens encode a sentence, and future
        sentences are predicted; for texts of many sentences.
    tokenizer : {"bpe", "word"}, tokenizers.Tokenizer or callable, default="bpe"
        "bpe": byte-level byte-pair encoding, trained by `fit`, which knows every
        character; needs the extra ``text``. "word": the words of scikit-learn's
        vectorizers, two letters or digits at least. A ready tokenizer of the library
        `tokenizers`, without its special tokens. A function from a str to a list of
        str.
    vocabulary_size : int, default=8000
        Largest number of tokens to know: those of the byte-pair encoding, at least
        256, else the most frequent ones. All others are one unknown token.
    lowercase : bool, default=False
        Whether texts are lowercased before they are split into tokens.
    context : str or torch.nn.Module, default="gru"
        From latents to contexts: "gru", as in the paper; "lstm"; "conv", dilated and
        causal; "attention", causal, to the last 128 latents. A module must map
        (B, T, D) to (B, T, H) and look at the past only; `fit` works on a copy of it.
    latent_size : int, default=128
        Size of the embeddings, the latents and the encoder's layers.
    context_size : int, default=128
        Size of the contexts.
    prediction_steps : int or "auto", default="auto"
        Number of latents ahead to predict. "auto" is 3, or what fits.
    skip_steps : int or "auto", default="auto"
        Latents between the context and the first one to predict. "auto" is 0.
    n_negatives : int or "all", default=128
        Negatives that each positive is compared with; fewer where a batch has
        fewer positions.
    negatives : str, default="batch"
        Where negatives are drawn from, never the positive itself: "batch", any
        other position of the batch; "other_sequences"; "same_sequence";
        "same_group", any other position of texts of the same group, as
        passed to `fit`; "same_group_other_sequences".
    temperature : float, default=0.1
        Divides the cosine similarities before the softmax.
    features : {"context", "latent", "both", "all"}, default="all"
        Activations to return. "both" is latents and contexts, "all" adds every
        layer of the encoder.
    pooling : str or tuple of str, default=("mean", "max", "std")
        How the activations of all steps become one vector: one or several of
        "mean", "max", "min", "std", "ppv", the proportion of positive values,
        and "last".
    crop_length : int, "auto" or None, default="auto"
        Longest window, in steps, that one update sees of a text; longer texts are
        cropped at random. "auto" is 48 tokens or 32 sentences, None takes whole texts.
    max_epochs : int or "auto", default="auto"
        Passes over the training set. "auto" gives about 1500 updates in at most 100
        epochs. 0 gives the untrained model, the control of an experiment.
    batch_size : int, default=64
        Texts, or windows of them, of one update.
    lr : float, default=2e-3
        Learning rate of AdamW, after a rise over the first 20 updates.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    validation_fraction : float, default=0.1
        Part of the texts, or of the groups, to validate on; used with
        `early_stopping` only.
    early_stopping : bool, default=False
        Whether to stop when the score on the validation part no longer rises,
        and return to the best weights.
    n_iter_no_change : int, default=10
        Epochs without a rise before stopping.
    callbacks : list of skorch callbacks or None, default=None
        Run along with the training, such as ``skorch.callbacks.Checkpoint``.
    accelerator : accelerate.Accelerator or None, default=None
        Takes over device, precision and the backward pass, in one process.
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; or any torch device.
    precision : {"float32", "bf16"}, default="float32"
        Precision of the forward pass; the loss is always computed in float32.
    n_jobs : int or None, default=None
        Threads of torch during training and transforming, restored afterwards;
        -1 is all cores, None leaves torch's own number.
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted model, with its vocabulary as it was, for
        `max_epochs` more.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, batches, crops, negatives and the validation
        part. With an int, results are equal bit by bit on one device with the
        same number of threads. No global generator is used.
    verbose : int, default=0
        1 shows a bar over epochs with loss and contrastive accuracy.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        The tokens that are known, and the row of the embedding of each. Row 0 is
        padding, row 1 the unknown token.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the `sklearn_cpc.nn.CPC` model.
    n_epochs_ : int
        Number of epochs the model was trained.
    loss_curve_ : list of float
        InfoNCE of each epoch, in nats.
    validation_scores_ : list of float
        Score on the validation part after each epoch, with `early_stopping`.
    downsampling_ : int
        Steps for each latent: 1.
    receptive_field_ : int
        Steps that one latent depends on.
    device_ : str
        The device of the model.

    See Also
    --------
    CPCTransformer : The same of time series.
    sklearn.feature_extraction.text.TfidfVectorizer : Weighted counts of words.

    Notes
    -----
    `X` is an iterable of str, as for scikit-learn's vectorizers: a list, an array, a
    series of pandas or polars, a generator. A text without a token, such as the empty
    one, is a single unknown token; it has features, but teaches nothing, like every
    text of a single step.

    A sentence ends after ``.``, ``!``, ``?`` or an ellipsis before white space, after
    the full stops of East Asian scripts, and at an empty line. One of more than 64
    tokens goes on as the next.

    The features of a text do not depend on its padding or on other texts.

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
        "crop_length": CROP_LENGTH,
    }
    _shaping = (
        "unit",
        "tokenizer",
        "vocabulary_size",
        "lowercase",
        *BaseCPC._shaping,
    )
    _fitted_types: ClassVar[dict[str, Any]] = {
        **BaseCPC._fitted_types,
        "_reader": (TextReader,),
        "vocabulary_": dict,
    }
    _more_steps = "longer texts"
    _automatic: ClassVar[dict[str, int]] = {
        "updates": 1500,
        "prediction_steps": 3,
        "skip_steps": 0,
    }

    def __init__(
        self,
        *,
        unit="token",
        tokenizer="bpe",
        vocabulary_size=8000,
        lowercase=False,
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
    def _step_name(self) -> str:  # type: ignore[override]
        return f"{self.unit}s"

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit, then return the features of the same texts.

        Parameters
        ----------
        X : iterable of str
            The texts; a generator is read once.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        **fit_params : dict
            Those of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            See `transform`.
        """
        texts = list(X) if isinstance(X, Iterator) else X
        return super().fit_transform(texts, y, **fit_params)

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
        reader = self._reader
        if reader.tokenizer is None:  # a callable, which no file holds
            reader = replace(reader, tokenizer=self.tokenizer)
        return reader.read(texts)

    def _build_encoder(
        self, source: Texts, generator: torch.Generator
    ) -> torch.nn.Module:
        """Return a new encoder with an embedding for every token."""
        make = TEXT_ENCODERS[self.unit]
        n_tokens = len(self.vocabulary_) + N_RESERVED
        return build(make, generator, (n_tokens, self.latent_size))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
