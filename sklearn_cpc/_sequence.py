"""The estimator for time series, sensor data and audio."""

import copy
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch

from ._base import BaseCPC
from ._compat import Interval, StrOptions
from ._fitting import longest_window
from ._inputs import read_sequences
from ._scaling import SCALINGS, ScaledSequences
from .nn.encoders import ENCODERS
from .nn.initialization import build


class CPCTransformer(BaseCPC):
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCPC._parameter_constraints,
        "encoder": [StrOptions(set(ENCODERS)), torch.nn.Module],
        "scaling": [StrOptions(set(SCALINGS) - {None}), None],
        "nan_policy": [StrOptions({"raise", "mask"})],
        "channels_first": ["boolean"],
        "crop_length": [
            StrOptions({"auto"}),
            Interval(Integral, 2, None, closed="left"),
            None,
        ],
    }

    def __init__(
        self,
        *,
        encoder="conv",
        context="gru",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps=0,
        n_negatives=128,
        negatives="batch",
        temperature=0.1,
        features="all",
        pooling=("mean", "max", "std"),
        scaling="channel",
        nan_policy="raise",
        channels_first=False,
        crop_length="auto",
        max_epochs="auto",
        batch_size=32,
        lr=1e-3,
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
        make = ENCODERS[self.encoder]
        windows = np.minimum(
            source.lengths, longest_window(self.crop_length, make, source)
        )
        n_timesteps = int(np.median(windows))
        return build(
            lambda: make(self.n_channels_in_, self.latent_size, n_timesteps), generator
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.nan_policy == "mask"
        return tags
