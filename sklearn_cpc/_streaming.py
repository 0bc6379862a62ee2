"""Features while a recording goes on, chunk by chunk."""

from typing import Any

import numpy as np
import torch

from ._inputs import Sequences
from ._runtime import autocast_type, torch_threads
from ._scaling import ScaledSequences
from .nn.streaming import FeatureStream


class Stream:
    """Step features of recordings that are still going on; see `CPCTransformer.stream`.

    Whatever the chunks, the features are those that `transform_steps` gives of the
    whole. A stream can be pickled and go on elsewhere.

    Parameters
    ----------
    cpc : CPCTransformer
        Fitted.
    n_streams : int or None
        Number of recordings that go on side by side; None is a single one.

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

    def __init__(self, cpc: Any, n_streams: int | None = None) -> None:
        if cpc.scaling == "sample":
            raise ValueError(
                "scaling='sample' needs whole sequences, which a stream does not have. "
                "Use scaling='channel' or None."
            )
        model = cpc.net_.module_.eval()
        self._features = FeatureStream(model, cpc.features, cpc.n_channels_in_)
        self._scaling, self._n_channels = cpc._scaling, cpc.n_channels_in_
        self._channels_first = cpc.channels_first
        self._allow_nan = cpc.nan_policy == "mask"
        self._device, self._n_jobs = cpc.device_, cpc.n_jobs
        self._autocast = autocast_type(cpc.precision)
        self.n_streams = n_streams
        self.n_steps_seen = 0

    def __repr__(self) -> str:
        return f"Stream(n_streams={self.n_streams}, n_steps_seen={self.n_steps_seen})"

    def push(self, chunk: Any) -> np.ndarray:
        """Take the next time steps and return the features they complete.

        Parameters
        ----------
        chunk : array-like of shape (n_steps,) or (n_steps, n_channels)
            Any number of steps. For `n_streams` recordings, one after the other
            along a first axis; with ``channels_first``, channels before steps. With
            ``nan_policy="mask"``, NaNs are missing values.

        Returns
        -------
        ndarray of shape (n_new_steps, n_features), float32
            Features of the latents whose first time step has come, in the columns
            of `transform_steps`. With `n_streams`, (n_streams, n_new_steps,
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
            torch_threads(self._n_jobs),
            torch.autocast(kind, self._autocast, self._autocast is not None),
        ):
            features = self._features.push(x.to(self._device)).cpu().numpy()
        self.n_steps_seen += n_steps
        return features if self.n_streams is not None else features[0]

    def reset(self) -> None:
        """Begin anew, as if nothing had been pushed."""
        self._features.reset()
        self.n_steps_seen = 0

    def _checked(self, chunk: Any) -> np.ndarray:
        """Return the values, (n_streams or 1, n_steps, n_channels)."""
        values = np.asarray(chunk, dtype=np.float64)
        single = self.n_streams is None
        if values.ndim == 2 - single:
            values = values[..., None]
        elif self._channels_first:
            values = values.swapaxes(-1, -2)
        if single:
            values = values[None]
        wanted = (1 if single else self.n_streams, self._n_channels)
        if values.ndim != 3 or values.shape[::2] != wanted:
            first = "" if single else f"{self.n_streams} streams, "
            raise ValueError(
                f"chunk has the shape {np.shape(chunk)}, but this stream takes {first}"
                f"any number of steps and {self._n_channels} channels."
            )
        missing = np.isnan(values) if self._allow_nan else False
        if not (np.isfinite(values) | missing).all():
            raise ValueError(
                "chunk contains NaN or infinity. NaNs are missing values with "
                "nan_policy='mask'."
            )
        return values
