"""The estimator for time series, sensor data and audio."""

import copy
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ._base import AT_LEAST_1, CROP_LENGTH, BaseCPC, check_channels
from ._compat import Interval, StrOptions
from ._data.plausibility import warn_if_other_scale
from ._data.reading import read_sequences
from ._data.resampling import resampled
from ._data.scaled import ScaledSequences
from ._data.scaling import SCALINGS, Scaling
from ._data.source import Source
from ._export import write_onnx
from ._streaming import Stream
from .nn.checks import as_encoder, check_encoder
from .nn.encoders import ENCODERS, Encoder
from .nn.features import StepFeatures
from .nn.initialization import build
from .nn.model import Model
from .nn.window_pooling import Window
from .training.architecture import StepWords, longest_window
from .training.calibration import calibrate


class CPCTransformer(BaseCPC):
    r"""Features of sequences, learned without labels by recognising what comes next.

    Contrastive predictive coding (CPC) encodes every sequence into latents :math:`z_t`
    and summarises the past latents into contexts :math:`c_t`. From :math:`c_t`, it
    learns to recognise the true :math:`z_{t+k}` among latents of other positions, the
    negatives. Slow changes and properties of the whole sequence help to do so; noise
    does not. `transform` pools the activations of the trained model into one vector for
    each sequence, for any classifier or regressor of scikit-learn.

    Parameters
    ----------
    encoder : str or torch.nn.Module, default="kernels"
        Network that turns input steps into latents. "kernels": fixed kernels of several
        sizes, scaled to the data, for the features; short kernels and learned causal
        convolutions for at most 32 latents in a training window. "conv": a learned
        first layer, and up to 128 latents. "audio": the paper's encoder for raw
        waveforms at 16 kHz with one channel, one latent for 160 samples. "log_mel":
        log-mel spectra of such waveforms, fixed kernels and two convolutions; it trains
        much faster. For other rates see `sampling_rate`. A module must map (B, T, C) to
        (B, ceil(T / downsampling), D) for some downsampling and depend on the past
        only; see `sklearn_cpc.nn.Encoder`. `fit` uses a copy of it.
    skip_steps : int or "auto", default="auto"
        Number of latents to skip between the context and the first prediction. The
        nearest latents share input with the context, which makes them easy to
        recognise. "auto" skips all of these with "kernels" and "conv", none with
        "log_mel" and "audio" (as in the paper), and 3 with your own module, unless it
        declares a number; fewer if sequences are short.
    step_window : int or None, default=None
        Number of recent time steps over which `transform_steps`, streams and the
        ``steps`` of ONNX apply `pooling` at each step; fewer at the beginning of a
        sequence. With None, they return the activations of the step alone.
    scaling : {"channel", "sample"} or None, default="channel"
        How values are standardised: by the mean and standard deviation of each channel
        over the training set, of each channel in each sequence, or not at all. With
        "sample", every step depends on the whole sequence, including later steps.
    nan_policy : {"raise", "mask"}, default="raise"
        "mask" takes trailing steps that are NaN in all channels as padding, and
        other NaNs as missing values.
    sampling_rate : float or None, default=None
        Time steps per second of the data, in hertz, for "audio", "log_mel" and your own
        encoders that declare a rate: recordings with another rate are resampled. None
        means that the data have the rate that the encoder expects, 16 kHz for the two.
        Other encoders ignore it.
    channels_first : bool, default=False
        Whether the channels of arrays come before the time steps. In frames, a named
        column is always a channel.
    crop_length : int, "auto" or None, default="auto"
        Longest window of a sequence in training, in time steps. Longer sequences are
        cropped at random. "auto" takes the length that the encoder recommends, None
        takes whole sequences.

    Attributes
    ----------
    n_features_in_ : int
        Number of time steps for a two-dimensional input, of columns for a frame with
        arrays in its cells, else of channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of a frame, or of the channels of a list of frames, if all
        were strings.
    n_channels_in_ : int
        Number of channels of the sequences.

    See Also
    --------
    sklearn_cpc.nn.CPC : The model, for your own training loop.
    sklearn_cpc.nn.info_nce : The loss.

    Notes
    -----
    The parameters by purpose:

    - model: from `encoder` and `context` to `context_size`;
    - objective: from `prediction_steps` to `temperature`;
    - features: `features`, `pooling`, `step_window`;
    - input: from `scaling` to `crop_length`;
    - training: from `max_epochs` to `callbacks`, `warm_start` and `start`;
    - running: `accelerator`, from `device` to `n_jobs`, `random_state`, `verbose`.

    `X` is one of

    - an array (n_samples, n_timesteps) or (n_samples, n_timesteps, n_channels);
    - a list or object array of arrays (length_i,) or (length_i, n_channels);
    - a list of frames, one column for each channel: `fit` learns the names;
    - a frame with time steps as columns, or with arrays in its cells, one column for
      each channel;
    - any other sized iterable of array-likes.

    All layers use the past only and normalise each step by itself. So the features of a
    sequence do not depend on its padding or on the other sequences of a batch.

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
        "step_window": [AT_LEAST_1, None],
        "scaling": [StrOptions(set(SCALINGS) - {None}), None],
        "nan_policy": [StrOptions({"raise", "mask"})],
        "sampling_rate": [Interval(Real, 0, None, closed="neither"), None],
        "channels_first": ["boolean"],
        "crop_length": CROP_LENGTH,
    }
    _architecture_parameters = ("encoder", *BaseCPC._architecture_parameters)
    _kept_parameters = ("scaling",)
    _scaling: Scaling
    _fitted_on_table: bool

    _fitted_types: ClassVar[dict[str, Any]] = {
        **BaseCPC._fitted_types,
        "_scaling": tuple(SCALINGS.values()),
        "_fitted_on_table": bool,
    }

    def __init__(
        self,
        *,
        encoder="kernels",
        context="lstm",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="auto",
        n_anchors="auto",
        temperature=0.1,
        features="auto",
        pooling="auto",
        step_window=None,
        scaling="channel",
        nan_policy="raise",
        sampling_rate=None,
        channels_first=False,
        crop_length="auto",
        max_epochs="auto",
        batch_size=32,
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
        self.encoder = encoder
        self.step_window = step_window
        self.scaling = scaling
        self.nan_policy = nan_policy
        self.sampling_rate = sampling_rate
        self.channels_first = channels_first
        self.crop_length = crop_length

    def stream(self, n_streams: int | None = None) -> Stream:
        """Return an object that computes features during a recording.

        Parameters
        ----------
        n_streams : int, default=None
            Number of parallel recordings with chunks of the same size. None is a single
            recording.

        Returns
        -------
        Stream
            Its method `push` takes the next time steps and returns the step features
            that they complete, as `transform_steps` would.

        Raises
        ------
        ValueError
            If the model was fitted with ``scaling="sample"``, which needs whole
            sequences, if a module of the user cannot `advance`, or if `sampling_rate`
            asks for resampling, which needs what follows a chunk.
        """
        check_is_fitted(self)
        expected = self._expected_rate(reset=False)
        if (
            None not in (expected, self.sampling_rate)
            and self.sampling_rate != expected
        ):
            raise ValueError(
                f"sampling_rate={self.sampling_rate!r} needs resampling to "
                f"{expected:g} Hz, which a stream cannot do in pieces. Record at "
                f"{expected:g} Hz, or resample chunks with a stateful resampler of "
                "your own, and use set_params(sampling_rate=None)."
            )
        return Stream(self, n_streams)

    def export_onnx(self, path: Any) -> None:
        """Write the fitted model to an ONNX file, for use without Python or torch.

        This needs the extra ``onnx``. The graph takes raw values: it scales, masks
        missing values and pads. Before the file is written, onnxruntime runs the graph
        on samples of several lengths and must return the features of this estimator.
        The file is written completely or not at all.

        Parameters
        ----------
        path : str or path-like
            The file; its name usually ends with ``.onnx``.

        Raises
        ------
        ImportError
            If onnx or onnxruntime is not installed.
        ValueError
            If your own module does something that ONNX cannot do for all sizes.
        OSError
            If the file cannot be written.

        Notes
        -----
        The inputs are ``values``, float32, and ``lengths``, int64. ``values`` has the
        shape (n_samples, n_timesteps, n_channels), also with ``channels_first=True``.
        ``lengths`` (n_samples,) counts the valid steps of each sample, at least 1;
        later values do not matter, and NaNs among the valid steps are missing values.
        The graph does not resample: it takes the rate that the encoder expects.
        The outputs are ``features``, as from `transform`; ``steps`` (n_samples,
        n_steps, n_features_out), as from `transform_steps`; and ``step_lengths``
        (n_samples,), the number of valid steps. The metadata hold ``feature_names``,
        ``step_feature_names`` and ``downsampling`` as JSON.
        """
        check_is_fitted(self)
        write_onnx(self, path)

    def _read(self, X: Any, *, reset: bool, update: bool = False) -> ScaledSequences:
        sequences = read_sequences(
            self,
            X,
            channels_first=self.channels_first,
            allow_nan=self.nan_policy == "mask",
            reset=reset,
        )
        expected = self._expected_rate(reset)
        if expected is not None and reset:
            self._check_mono()
        if expected is not None and self.sampling_rate is not None:
            sequences = resampled(sequences, self.sampling_rate, expected)
        if not reset:
            warn_if_other_scale(sequences, self._scaling)
        if reset or update:
            scaling = (
                SCALINGS[self.scaling]() if reset else copy.deepcopy(self._scaling)
            )
            scaling.partial_fit(sequences)
            self._scaling = scaling
        return ScaledSequences.of(sequences, self._scaling)

    def _expected_rate(self, reset: bool) -> float | None:
        """Return the sampling rate that the encoder expects, None for any."""
        encoder = self.encoder
        if not reset:
            encoder = self.net_.module_.encoder
        elif isinstance(encoder, str):
            encoder = ENCODERS[encoder]
        elif not isinstance(encoder, Encoder):
            return None  # attributes of any other module have no meaning
        rate: float | None = encoder.sampling_rate
        return rate

    def _check_mono(self) -> None:
        """Refuse several channels with a named encoder of waveforms."""
        if isinstance(self.encoder, str) and self.n_channels_in_ > 1:
            raise ValueError(
                f"encoder={self.encoder!r} takes recordings of one channel, but X has "
                f"{self.n_channels_in_}. Average them, [x.mean(axis=1) for x in X], or "
                "choose one."
            )

    def _build_encoder(self, source: Source, generator: torch.Generator) -> Encoder:
        lengths, n_channels = source.lengths, self.n_channels_in_
        if isinstance(self.encoder, torch.nn.Module):
            own = copy.deepcopy(self.encoder).cpu()
            encoder = as_encoder(own, n_channels, int(lengths.max()))
            n_timesteps = longest_window(self.crop_length, encoder, lengths)
            check_encoder(encoder, n_channels, n_timesteps)
            return encoder
        make = ENCODERS[self.encoder]
        longest = longest_window(self.crop_length, make, lengths)
        n_timesteps = int(np.median(np.minimum(lengths, longest)))
        encoder = build(make, generator, (n_channels, self.latent_size, n_timesteps))
        calibrate(encoder, source, n_channels, generator)
        return encoder

    def _check_restored(self, attributes: dict[str, Any], model: Model) -> None:
        n_channels = attributes["n_channels_in_"]
        check_channels(model.encoder, n_channels, attributes["_scaling"].n_channels)
        if not attributes["_fitted_on_table"]:
            known = attributes.get("n_features_in_")
            if known != n_channels:
                raise ValueError(f"{known} features are not {n_channels} channels")
        elif n_channels != 1 or attributes.get("n_features_in_") is None:
            raise ValueError("a table has one channel, and features")

    def _step_features(self) -> StepFeatures:
        n_steps, window = self.step_window, None
        if n_steps is not None:
            if not AT_LEAST_1.is_satisfied_by(n_steps):
                raise ValueError(
                    f"step_window={n_steps!r} must be None or a number of time steps, "
                    "an int of at least 1."
                )
            window = Window(int(n_steps), self._statistics())
        return StepFeatures(self.net_.module_, self.features, window)

    def _step_words(self) -> StepWords:
        if not self._fitted_on_table:
            return StepWords()
        return StepWords(single=", n_features = 1")  # as scikit-learn's checks want it

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.nan_policy == "mask"
        return tags
