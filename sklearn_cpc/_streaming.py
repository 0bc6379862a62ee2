"""Features during a recording, chunk by chunk."""

from numbers import Integral
from typing import Any, Protocol

import numpy as np
import torch

from ._data.arrays import real_array
from ._data.names import frame_names, in_order_of_fit, places
from ._data.reading import FLOAT32_MAX
from ._data.scaled import ScaledSequences
from ._data.scaling import SampleScaling, Scaling
from ._data.sequences import Sequences
from .nn.features import StepFeatures
from .nn.streaming import FeatureStream
from .training.net import CPCNet
from .training.runtime import autocast_type, own_settings


class StreamingEstimator(Protocol):
    """What a stream uses of a fitted `CPCTransformer`."""

    net_: CPCNet
    _scaling: Scaling
    _fitted_on_table: bool
    n_channels_in_: int
    device_: str
    channels_first: Any
    nan_policy: Any
    precision: Any
    n_jobs: Any

    def _step_features(self) -> StepFeatures:
        """Return the module that `transform_steps` runs."""


class Stream:
    """Step features of recordings as they arrive; see `CPCTransformer.stream`.

    Whatever the chunks are, the features equal `transform_steps` of the whole. A stream
    can be pickled and continued elsewhere.

    Parameters
    ----------
    cpc : CPCTransformer
        Fitted.
    n_streams : int or None
        Number of parallel recordings. None is a single recording.

    Attributes
    ----------
    n_steps_seen : int
        Time steps since the beginning or the last `reset`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cpc import CPCTransformer
    >>> X = np.random.default_rng(0).normal(size=(10, 50)).cumsum(1)
    >>> cpc = CPCTransformer(max_epochs=1, random_state=0).fit(X)
    >>> stream = cpc.stream()
    >>> features = [stream.push(chunk) for chunk in (X[0, :7], X[0, 7:8], X[0, 8:])]
    >>> whole = cpc.transform_steps(X[:1])[0]
    >>> np.allclose(np.concatenate(features), whole, atol=1e-5)
    True
    """

    def __init__(self, cpc: StreamingEstimator, n_streams: int | None = None) -> None:
        if isinstance(cpc._scaling, SampleScaling):
            raise ValueError(
                "scaling='sample' needs whole sequences, which a stream does not have. "
                "Use scaling='channel' or None."
            )
        if n_streams is not None:
            if not isinstance(n_streams, Integral) or isinstance(n_streams, bool):
                raise TypeError(
                    f"n_streams={n_streams!r} must be None or a number of recordings."
                )
            if n_streams < 1:
                raise ValueError(
                    f"n_streams={n_streams} must be None or a number of recordings, at "
                    "least 1."
                )
            n_streams = int(n_streams)
        model = cpc.net_.module_.eval()
        extract = cpc._step_features()
        with own_settings(None):
            self._features = FeatureStream(
                model, extract.features, cpc.n_channels_in_, extract.window
            )
        self._scaling, self._n_channels = cpc._scaling, cpc.n_channels_in_
        self._channels_first = cpc.channels_first
        self._allow_nan = cpc.nan_policy == "mask"
        self._device, self._n_jobs = cpc.device_, cpc.n_jobs
        self._autocast = autocast_type(cpc.precision)
        on_table = cpc._fitted_on_table  # whose columns are steps
        self._names = None if on_table else getattr(cpc, "feature_names_in_", None)
        self.n_streams = n_streams
        self.n_steps_seen = 0

    def __repr__(self) -> str:
        return f"Stream(n_streams={self.n_streams}, n_steps_seen={self.n_steps_seen})"

    def push(self, chunk: Any) -> np.ndarray:
        """Take the next time steps and return the features that they complete.

        Parameters
        ----------
        chunk : array-like of shape (n_steps,) or (n_steps, n_channels)
            Any number of steps. `n_streams` recordings lie along a first axis. With
            ``channels_first``, channels come before steps. With ``nan_policy="mask"``,
            NaNs are missing values.

        Returns
        -------
        ndarray of shape (n_new_steps, n_features), float32
            Features of the latents at the new time steps j * downsampling_, in the
            columns of `transform_steps`. With `n_streams`, (n_streams, n_new_steps,
            n_features).

        Raises
        ------
        ValueError
            If the chunk has another shape or is not finite. The stream stays where
            it was.
        """
        values = self._checked(chunk)
        n_steps = values.shape[1]
        sequences = Sequences(values, np.full(len(values), n_steps), "array")
        scaled = ScaledSequences.of(sequences, self._scaling)
        x = torch.from_numpy(scaled.batch(np.arange(len(values)))[0])
        kind = torch.device(self._device).type
        with (
            own_settings(self._n_jobs),
            torch.autocast(kind, self._autocast, self._autocast is not None),
        ):
            features: np.ndarray = (
                self._features.push_steps(x.to(self._device)).cpu().numpy()
            )
        self.n_steps_seen += n_steps
        if not np.isfinite(features).all():
            raise ValueError("The model gives features that are not finite.")
        if self.n_streams is None:
            features = features[0]
        return features

    def reset(self) -> None:
        """Start again, as if nothing had been pushed."""
        self._features.reset()
        self.n_steps_seen = 0

    def _checked(self, chunk: Any) -> np.ndarray:
        """Return the values, (n_streams or 1, n_steps, n_channels)."""
        names = frame_names(chunk)
        wanted_names = in_order_of_fit(names, self._names, "this stream")
        raw = real_array(chunk, "chunk")
        values = raw
        single = self.n_streams is None
        if values.ndim == 2 - single:
            values = values[..., None]
        elif names is not None and wanted_names is not None and single:
            values = values[:, places(names, wanted_names)]
        elif self._channels_first:
            values = values.swapaxes(-1, -2)
        if single:
            values = values[None]
        wanted = (1 if single else self.n_streams, self._n_channels)
        if values.ndim != 3 or values.shape[::2] != wanted:
            first = "" if single else f"{self.n_streams} streams, "
            raise ValueError(
                f"chunk has the shape {raw.shape}, but this stream takes {first}"
                f"any number of steps and {self._n_channels} channels."
            )
        missing = np.isnan(values) if self._allow_nan else False
        if not ((np.abs(values) <= FLOAT32_MAX) | missing).all():
            raise ValueError(
                "chunk contains NaN, infinity or a value too large for "
                "dtype('float32'). NaNs are missing values with nan_policy='mask'."
            )
        return values
