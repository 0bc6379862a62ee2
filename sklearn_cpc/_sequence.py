"""The estimator for time series, sensor data and audio."""

import copy
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ._base import BaseCPC
from ._compat import StrOptions
from ._export import write_onnx
from ._fitting import longest_window, some_windows
from ._inputs import read_sequences
from ._parameters import CROP_LENGTH
from ._scaling import SCALINGS, ScaledSequences
from ._streaming import Stream
from .nn.encoders import ENCODERS
from .nn.initialization import build


class CPCTransformer(BaseCPC):
    r"""Features of sequences, learned without labels by predicting their future.

    Contrastive predictive coding encodes every sequence into latents
    :math:`z_t`, summarises the past into contexts :math:`c_t`, and learns to tell
    the true :math:`z_{t+k}` from latents of other positions, the negatives, given
    :math:`c_t`. What helps to do so is what changes slowly or matters to a
    sequence as a whole; noise does not. `transform` pools the activations of the
    trained model into one vector for each sequence, for any classifier or
    regressor of scikit-learn.

    Parameters
    ----------
    encoder : str or torch.nn.Module, default="kernels"
        From input steps to latents. "kernels": causal convolutions of several kernel
        sizes, whose strides follow the length of the sequences; those of the first
        layer are not learned but scaled to the data, and half of them see the shape
        alone. "conv": the same with a first layer that is learned. "audio": the
        paper's encoder for raw waveforms, one latent for 160 samples. "log_mel": for
        waveforms at 16 kHz, log-mel spectra and two convolutions, also one for 160
        samples, which trains much faster. A module must map (B, T, C) to (B,
        ceil(T / downsampling), D) and look at the past only; `fit` works on a copy
        of it.
    context : str or torch.nn.Module, default="gru"
        From latents to contexts: "gru", as in the paper; "lstm"; "conv", dilated and
        causal; "attention", causal, to the last 128 latents. A module must map
        (B, T, D) to (B, T, H) and look at the past only; `fit` works on a copy of it.
    latent_size : int, default=128
        Size of the latents and of the encoder's layers.
    context_size : int, default=128
        Size of the contexts.
    prediction_steps : int or "auto", default="auto"
        Number of latents ahead to predict. "auto" is 8, or what fits.
    skip_steps : int or "auto", default="auto"
        Latents between the context and the first one to predict. The nearest
        ones share input with the context, which makes them easy. "auto" is 12 with
        the encoder "kernels" and 3 with others, or what short sequences leave room
        for.
    n_negatives : int or "all", default=128
        Negatives that each positive is compared with; fewer where a batch has
        fewer positions.
    negatives : str, default="batch"
        Where negatives are drawn from, never the positive itself: "batch", any
        other position of the batch; "other_sequences"; "same_sequence";
        "same_group", any other position of sequences of the same group, as
        passed to `fit`; "same_group_other_sequences".
    temperature : float, default=0.1
        Divides the cosine similarities before the softmax.
    features : {"context", "latent", "both", "all"}, default="all"
        Activations to return. "both" is latents and contexts, "all" adds every
        layer of the encoder.
    pooling : str or tuple of str, default=("max", "std", "ppv")
        How the activations of all steps become one vector: one or several of
        "mean", "max", "min", "std", "ppv", the proportion of positive values, and
        "last".
    scaling : {"channel", "sample"} or None, default="channel"
        Which mean and deviation are taken off: of each channel over the training
        set, of each channel of each sequence, or none.
    nan_policy : {"raise", "mask"}, default="raise"
        "mask" takes trailing steps that are NaN in all channels as padding, and
        other NaNs as missing values.
    channels_first : bool, default=False
        Whether the arrays have their channels before their time steps.
    crop_length : int, "auto" or None, default="auto"
        Longest window, in time steps, that one update sees of a sequence; longer
        sequences are cropped at random. "auto" leaves it to the encoder, None
        takes whole sequences.
    max_epochs : int or "auto", default="auto"
        Passes over the training set. "auto" gives about 200 updates in at most
        100 epochs. 0 gives the untrained model, the control of an experiment.
    batch_size : int, default=32
        Sequences, or windows of them, of one update; with an accelerator, of all
        its processes together.
    lr : float, default=5e-4
        Learning rate of AdamW, after a rise over the first 20 updates.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    validation_fraction : float, default=0.1
        Part of the sequences, or of the groups, to validate on; used with
        `early_stopping` only.
    early_stopping : bool, default=False
        Whether to stop when the score on the validation part no longer rises,
        and return to the best weights.
    n_iter_no_change : int, default=10
        Epochs without a rise before stopping.
    callbacks : list of skorch callbacks or None, default=None
        Run along with the training, such as `sklearn_cpc.Checkpoint`.
    accelerator : accelerate.Accelerator or None, default=None
        Takes over device and precision. With several processes, started by
        ``torchrun`` or ``accelerate launch``, each trains on a part of every batch
        and all end with the same weights, those of one process but for rounding.
        With gradient accumulation a process goes through its part in that many
        steps, each with negatives of its own.
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; or any torch device.
    precision : {"float32", "bf16"}, default="float32"
        Precision of the forward pass; the loss is always computed in float32.
    n_jobs : int or None, default=None
        Threads of torch during training and transforming, restored afterwards;
        -1 is all cores, None leaves torch's own number.
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted model, with its scaling as it was, for
        `max_epochs` more: without `early_stopping`, exactly where a longer fit
        would be. Pickles and files then hold the state of the optimizer, too.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, batches, crops, negatives and the validation
        part. With an int, results are equal bit by bit on one device with the
        same number of threads. No global generator is used.
    verbose : int, default=0
        1 shows a bar over epochs with loss and contrastive accuracy.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the `sklearn_cpc.nn.CPC` model.
    n_features_in_ : int
        Number of time steps for a two-dimensional input, else of channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all were strings.
    n_channels_in_ : int
        Number of channels of the sequences.
    n_epochs_ : int
        Number of epochs the model was trained.
    loss_curve_ : list of float
        InfoNCE of each epoch, in nats.
    validation_scores_ : list of float
        Score on the validation part after each epoch, with `early_stopping`.
    downsampling_ : int
        Time steps for each latent.
    receptive_field_ : int or None
        Time steps that one latent depends on; None if a module does not say.
    device_ : str
        The device of the model.

    See Also
    --------
    sklearn_cpc.nn.CPC : The model, for an own training loop.
    sklearn_cpc.nn.info_nce : The loss.

    Notes
    -----
    `X` is one of

    - an array (n_samples, n_timesteps) or (n_samples, n_timesteps, n_channels);
    - a list or object array of arrays (length_i,) or (length_i, n_channels);
    - a frame whose columns are time steps, or whose cells hold arrays, one
      column for each channel.

    All layers look at the past only and normalise each step by itself, so the
    features of a sequence do not depend on its padding or on the other
    sequences of a batch.

    References
    ----------
    A. van den Oord, Y. Li, O. Vinyals (2018), Representation Learning with
    Contrastive Predictive Coding, arXiv:1807.03748.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_cpc import CPCTransformer
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> cpc = CPCTransformer(max_epochs=2, random_state=0)
    >>> pipe = make_pipeline(cpc, StandardScaler(), LogisticRegression(max_iter=1000))
    >>> X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    >>> pipe.fit(X, y).score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCPC._parameter_constraints,
        "encoder": [StrOptions(set(ENCODERS)), torch.nn.Module],
        "scaling": [StrOptions(set(SCALINGS) - {None}), None],
        "nan_policy": [StrOptions({"raise", "mask"})],
        "channels_first": ["boolean"],
        "crop_length": CROP_LENGTH,
    }
    _shaping = ("encoder", *BaseCPC._shaping)
    _scaling: Any

    _fitted_types: ClassVar[dict[str, Any]] = {
        **BaseCPC._fitted_types,
        "_scaling": tuple(SCALINGS.values()),
        "_fitted_on_table": bool,
    }

    def __init__(
        self,
        *,
        encoder="kernels",
        context="gru",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="batch",
        temperature=0.1,
        features="all",
        pooling=("max", "std", "ppv"),
        scaling="channel",
        nan_policy="raise",
        channels_first=False,
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
        self.encoder = encoder
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
        self.scaling = scaling
        self.nan_policy = nan_policy
        self.channels_first = channels_first
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

    def stream(self, n_streams: int | None = None) -> Stream:
        """Return an object that gives features while a recording goes on.

        Parameters
        ----------
        n_streams : int, default=None
            Number of recordings that go on side by side, chunks of the same size;
            None is a single one.

        Returns
        -------
        Stream
            Its method `push` takes the next time steps and returns the step
            features that they complete: those of `transform_steps`.

        Raises
        ------
        ValueError
            With ``scaling="sample"``, which needs whole sequences, and for a module
            of the user's that has no method `advance`.
        """
        check_is_fitted(self)
        return Stream(self, n_streams)

    def export_onnx(self, path: Any) -> None:
        """Write the fitted model to an ONNX file, for use without Python or torch.

        Needs the extra ``onnx``. The graph takes raw values: scaling, missing values
        and padding are part of it. Before the file is written, the graph has run in
        onnxruntime on samples of several lengths and given the features of this
        estimator. The file is there as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Where to; by custom it ends with ``.onnx``.

        Raises
        ------
        ImportError
            If onnx or onnxruntime is not installed.
        ValueError
            If a module of your own does what ONNX cannot, or not for all sizes.
        OSError
            If the file cannot be written.

        Notes
        -----
        The inputs are ``values`` (n_samples, n_timesteps, n_channels), float32, in this
        order also with ``channels_first=True``, and ``lengths`` (n_samples,), int64,
        the valid steps of each sample, at least 1. What comes after them does not
        matter; NaNs before are missing values. The outputs are ``features``, as of
        `transform`; ``steps`` (n_samples, n_steps, n_features_out), as of
        `transform_steps`; and ``step_lengths`` (n_samples,), how many of them are
        valid. The metadata hold ``feature_names``, ``step_feature_names`` and
        ``downsampling`` as JSON.
        """
        check_is_fitted(self)
        write_onnx(self, path)

    def _read(self, X: Any, reset: bool, update: bool = False) -> ScaledSequences:
        """Read sequences; their scaling is learned on `reset`, extended on `update`."""
        sequences = read_sequences(
            self,
            X,
            channels_first=self.channels_first,
            allow_nan=self.nan_policy == "mask",
            reset=reset,
        )
        if reset or update:
            scaling = (
                SCALINGS[self.scaling]() if reset else copy.deepcopy(self._scaling)
            )
            scaling.partial_fit(sequences)
            self._scaling = scaling
        return ScaledSequences.of(sequences, self._scaling)

    def _build_encoder(
        self, source: ScaledSequences, generator: torch.Generator
    ) -> torch.nn.Module:
        """Return a new encoder whose strides suit the lengths, or the user's own."""
        if isinstance(self.encoder, torch.nn.Module):
            return self.encoder
        make: Any = ENCODERS[self.encoder]
        windows = np.minimum(
            source.lengths, longest_window(self.crop_length, make, source)
        )
        n_timesteps = int(np.median(windows))
        arguments = (self.n_channels_in_, self.latent_size, n_timesteps)
        encoder: Any = build(make, generator, arguments)
        if hasattr(encoder, "calibrate"):
            windows = some_windows(source, self.n_channels_in_, generator)
            encoder.calibrate(*windows)
        return encoder

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.nan_policy == "mask"
        return tags
