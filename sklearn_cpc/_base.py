"""What all CPC estimators share: training, features, score, and how they fail."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
)

from ._compat import (
    CALLBACK_STATE,
    CallbackSupportMixin,
    with_callbacks,
)
from ._documentation import page_template
from ._fitting import fit_model
from ._parameters import SHARED, names
from ._runtime import autocast_type, torch_threads
from ._saving import Saving
from .nn.features import PooledFeatures, StepFeatures
from .nn.model import CPC
from .nn.pooling import POOLINGS
from .nn.streaming import can_advance, pooled_pieces, step_pieces
from .training.inference import BATCH_STEPS, BATCH_VALUES, run
from .training.net import CPCNet
from .training.scores import contrastive_accuracy, score_samples


class BaseCPC(Saving, CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """Base of the CPC estimators; see `CPCTransformer` for the parameters.

    A subclass stores its parameters in ``__init__`` and has two hooks: `_read`,
    from what a user passes to sequences that give batches, and `_build_encoder`. Where
    its samples are no sequences of vectors, it replaces what else differs.
    """

    crop_length: Any = None  # whole samples, where it is no parameter
    # What a step of the input is called, and what helps if there are too few.
    _step_name = "time steps"
    _more_steps = "longer sequences, or an encoder with smaller strides"

    # The link in the HTML diagram.
    _doc_link_module = "sklearn_cpc"
    _doc_link_template = page_template()

    net_: CPCNet
    _rng: np.random.Generator

    # Parameters that give a model its shape.
    _shaping: ClassVar[tuple[str, ...]] = (
        "context",
        "latent_size",
        "context_size",
        "prediction_steps",
    )
    # What "auto" aims at: small sets need updates, not epochs, and the nearest latents
    # share most of their input with the context.
    _automatic: ClassVar[dict[str, int]] = {
        "updates": 200,
        "prediction_steps": 8,
        "skip_steps": 3,
    }

    _parameter_constraints: ClassVar[dict[str, Any]] = SHARED

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "BaseCPC":
        """Learn to tell what follows in the samples from other positions.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, such as its speaker, for
            ``negatives="same_group"`` and for the validation split.

        Returns
        -------
        self : object
            The fitted estimator. If `fit` raises, it stays as it was.
        """
        with self._unchanged_on_failure():
            resume = self.warm_start and hasattr(self, "net_")
            source = self._read(X, reset=not resume)
            self._fit(source, groups, resume, fit_data=(X, y))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "BaseCPC":
        """Train for one epoch on some more samples.

        The first call builds the model, to suit the samples it sees.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample; see `fit`.

        Returns
        -------
        self : object
            The fitted estimator. If `partial_fit` raises, it stays as it was.
        """
        with self._unchanged_on_failure():
            resume = hasattr(self, "net_")
            source = self._read(X, reset=not resume, update=True)
            self._fit(source, groups, resume)
        return self

    def _fit(self, source: Any, groups: Any, resume: bool, **options: Any) -> None:
        self._pooling_names()
        with torch_threads(self.n_jobs):
            fitted = fit_model(
                self, source, groups, resume, self._build_encoder, **options
            )
        self.__dict__.update(fitted)

    # ---- features and scores

    def transform(self, X: Any) -> np.ndarray:
        """Turn each sample into one vector of pooled features.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            Named by `get_feature_names_out`.
        """
        source = self._read_fitted(X)
        features = np.empty((len(source), 0), np.float32)
        for rows, output in self._run(self._pooled_features(), source, pooled_pieces):
            if not features.size:  # the first batch tells how many there are
                features = np.empty((len(source), output.shape[1]), np.float32)
            features[rows] = output
        return features

    def transform_steps(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Turn each sample into features step by step.

        Step ``j`` is aligned with the input step ``j * downsampling_`` and does
        not depend on later ones. The steps of an image are its patches.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_features_out), float32
            With ``n_steps = ceil(n_timesteps / downsampling_)``. For a list, or
            where lengths differ, a list of arrays (n_steps_i, n_features_out). Of
            images, the grid: (n_samples, n_rows, n_columns, n_features_out).
        """
        source = self._read_fitted(X)
        steps = self._step_features(source)
        return steps if source.ragged else np.stack(steps)

    def _step_features(self, source: Any) -> list[np.ndarray]:
        """Return the features of each sequence, step by step."""
        extract = StepFeatures(self.net_.module_, self.features)
        steps: list[Any] = [None] * len(source)
        n_steps = -(-source.lengths // self.downsampling_)
        for rows, output in self._run(extract, source, step_pieces):
            for row, features in zip(rows, output, strict=True):
                steps[row] = features[: n_steps[row]].copy()
        return steps

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how well the model predicts each sample, in nats.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            ``log N - InfoNCE`` at N = 1024, a lower bound of the information
            that contexts and later latents share: at most 6.93, and below 0
            where guessing would be better. The N - 1 negatives are represented
            by the mean over 256 latents of the training samples, so nothing
            is random and a sample's score does not depend on the others.

        Raises
        ------
        ValueError
            If a sample is too short for a single prediction.
        """
        scores, source = self._scores(X)
        too_short = np.flatnonzero(np.isnan(scores))
        if len(too_short):
            row = too_short[0]
            raise ValueError(self._nothing_to_predict(row, source.lengths[row]))
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`: higher is better, without labels.

        Samples that are too short for a single prediction do not count.

        Scores compare models of any size, context, `n_negatives`, `negatives` and
        `batch_size`, for N is the same for all. They do not compare models that
        predict other steps (`prediction_steps`, `skip_steps`, strides): the nearer,
        the easier. Nor data sets; and a temperature that does not suit a model
        makes the bound loose.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.
        y : Ignored
            Not used; present for scikit-learn's searches.

        Returns
        -------
        float
            In nats, at most 6.93.

        Raises
        ------
        ValueError
            If all samples are too short for a single prediction.
        """
        scores, source = self._scores(X)
        if np.isnan(scores).all():
            raise ValueError(self._nothing_to_predict(0, source.lengths[0]))
        return float(np.nanmean(scores))

    def contrastive_accuracy(self, X: Any) -> np.ndarray:
        """Return how often the latent that came resembles its prediction most.

        Each prediction is compared with the latent that came and with 256 latents
        of the training samples; guessing would be right in 0.4 % of cases. An
        accuracy near 1 at all steps means that the task is too easy, near 0 that
        these steps cannot be predicted.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (prediction_steps,), float64
            For each step ahead, the nearest first; NaN where no sample is long
            enough.
        """
        return self._compare(contrastive_accuracy, self._read_fitted(X))

    def _scores(self, X: Any) -> tuple[np.ndarray, Any]:
        """Return the score of each sequence, NaN where it is too short, and them."""
        source = self._read_fitted(X)
        return self._compare(
            score_samples, source, temperature=self.temperature
        ), source

    def _compare(self, function: Any, source: Any, **options: Any) -> np.ndarray:
        """Return `function` of the sequences and of the latents to compare with."""
        run = self._run_options()
        with torch_threads(self.n_jobs):
            return function(
                self.net_.module_,
                source,
                self._references,
                skip_steps=self.net_.criterion_.skip_steps,
                **options,
                **run,
            )

    def _read_fitted(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._read(X, reset=False)

    def _nothing_to_predict(self, row: int, length: int) -> str:
        first = self.net_.criterion_.skip_steps + 1
        return (
            f"Sample {row} of X has {length} {self._step_name}: nothing to predict. "
            f"A score needs more than {first * self.downsampling_}."
        )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names or the number seen in `fit`, else unused.

        Returns
        -------
        ndarray of str
            Such as ``"context_mean_0"``.
        """
        check_is_fitted(self)
        if input_features is not None:
            _check_feature_names_in(self, input_features)
        with torch.inference_mode():
            pooled = self._pooled_features().named(*self._smallest_batch())
        return _column_names(pooled)

    def _step_feature_names(self) -> np.ndarray:
        """Return the names of the columns of `transform_steps`."""
        extract = StepFeatures(self.net_.module_, self.features)
        with torch.inference_mode():
            steps = extract.named(self._smallest_batch()[0])
        return _column_names(steps)

    def _smallest_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one sample that has all features, and its length."""
        x = torch.zeros(1, *self._smallest_input(), device=self.device_)
        return x, torch.full((1,), x.shape[1], device=x.device)

    def _run(
        self, extract: Any, source: Any, of_pieces: Any
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and outputs as arrays, with this estimator's threads."""
        model = self.net_.module_.eval()
        in_pieces = partial(of_pieces, extract) if can_advance(model) else None
        with torch_threads(self.n_jobs):
            options = self._run_options()
            for rows, output in run(extract, source, in_pieces=in_pieces, **options):
                yield rows, output[: len(rows)].cpu().numpy()

    # ---- what differs where a sample is not a sequence of vectors

    def _assemble(self, **parts: Any) -> CPC:
        """Return a model of the parts that `CPC.build` takes."""
        return CPC.build(**parts)

    def _augment(self) -> Any:
        """Return ``(x, rng) -> x`` for the batches of the training, or None."""
        return None

    def _pooled_features(self) -> PooledFeatures:
        """Return the module that `transform` runs."""
        return PooledFeatures(self.net_.module_, self.features, self._pooling_names())

    def _smallest_input(self) -> tuple[int, ...]:
        """Return the shape of the shortest sample that has all features."""
        return 1, self.n_channels_in_

    def _run_options(self, device: str | None = None) -> dict[str, Any]:
        """Return those of `training.inference.run`."""
        n_values = math.prod(self._smallest_input()[1:])  # of a step
        n_steps = BATCH_STEPS * self.n_channels_in_ // n_values
        return {
            "batch_steps": min(n_steps, max(1, BATCH_VALUES // n_values)),
            "device": device or self.device_,
            "autocast": autocast_type(self.precision),
        }

    # ---- checks and choices

    def _pooling_names(self) -> tuple[str, ...]:
        return names("pooling", self.pooling, POOLINGS)

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Restore all attributes if the block raises."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            state = {k: v for k, v in vars(self).items() if k in CALLBACK_STATE}
            self.__dict__ = before | state
            raise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _column_names(layers: dict[str, torch.Tensor]) -> np.ndarray:
    """Return a name for every column of activations side by side."""
    columns = [f"{name}_{i}" for name, h in layers.items() for i in range(h.shape[-1])]
    return np.array(columns, dtype=object)
