"""Training, features and scores of all CPC estimators; `hooks.py` has the rest."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin, _fit_context
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from .._compat import (
    CALLBACK_STATE,
    HAS_CALLBACKS,
    CallbackSupportMixin,
    with_callbacks,
)
from .._data.source import Source
from ..nn.features import column_names
from ..nn.streaming import Pieces, can_advance, pooled_pieces, step_pieces
from ..training.accelerator import check_accelerator, ranks_of
from ..training.callbacks import FitTasks
from ..training.diagnostics import warn_if_failed
from ..training.fitted import Fitted, net_attributes
from ..training.fitting import fit
from ..training.groups import TrainingData
from ..training.inference import Inference, batch_steps, run
from ..training.options import Objective, TrainingOptions
from ..training.parallel import check_processes
from ..training.runtime import autocast_type, own_settings
from ..training.scores import contrastive_accuracy, score_samples
from .building import apply_objective, kind_of, new_start, resumed_start
from .docstrings import complete
from .hooks import Hooks
from .pretrained import PretrainedMixin


class BaseCPC(PretrainedMixin, CallbackSupportMixin, TransformerMixin, Hooks):
    """Base of the CPC estimators; see `CPCTransformer` for the parameters."""

    _references: torch.Tensor
    downsampling_: int
    device_: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        words = cls._words._asdict()
        capitalised = {name.capitalize(): w.capitalize() for name, w in words.items()}
        complete(cls, {**words, **capitalised, "auto": cls._auto_defaults})

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "BaseCPC":
        """Learn to distinguish what follows in the samples from other positions.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, such as the person. Negatives come from the group, so
            that features tell what happens and not who it is; see `negatives`. The
            validation part holds whole groups.

        Returns
        -------
        self : object
            The fitted estimator. If `fit` raises, it stays as it was.
        """
        with self._unchanged_on_failure():
            resume = self._begin()
            source = self._read(X, reset=not resume)
            attributes_of = partial(self._attributes_of, partially=False)
            check_accelerator(self.accelerator)
            first, tasks = ranks_of(self.accelerator).rank == 0, None
            if HAS_CALLBACKS and first:
                tasks = FitTasks(self, X, y, attributes_of)
            options = TrainingOptions.of(self)
            fitted = self._fit(source, groups, resume, options, tasks)
            self.__dict__.update(attributes_of(fitted))
            if first:
                latents = fitted.references.numpy()
                warn_if_failed(fitted.epochs, fitted.n_batches, latents)
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
            The fitted estimator; unchanged if `partial_fit` raises.
        """
        with self._unchanged_on_failure():
            self._validate_params()  # scikit-learn does it in the first call only
            resume = hasattr(self, "net_") or self._begin()
            source = self._read(X, reset=not resume, update=True)
            options = replace(TrainingOptions.of(self), max_epochs=1)
            fitted = self._fit(source, groups, resume, options)
            self.__dict__.update(self._attributes_of(fitted, partially=True))
        return self

    def _fit(
        self,
        source: Source,
        groups: Any,
        resume: bool,
        options: TrainingOptions,
        tasks: FitTasks | None = None,
    ) -> Fitted:
        """Train a new model, or a copy of the fitted one."""
        self._statistics()
        objective = Objective.of(self)
        if options.max_epochs != 0:
            self.__dict__.pop("card_", None)  # it would describe other weights
        data = TrainingData.of(source, groups, objective, options.batch_size)
        check_processes(options.accelerator, data)
        with own_settings(self.n_jobs):
            start = resumed_start(self, source) if resume else new_start(self, source)
            apply_objective(objective, self, start, data)
            inference = self._inference(str(start.net.device))
            augment = self._augmentation()
            return fit(start, data, options, inference, kind_of(self), augment, tasks)

    def _attributes_of(self, fitted: Fitted, *, partially: bool) -> dict[str, Any]:
        """Return the fitted attributes, except what `_read` has set."""
        return {
            "_fitted_parameters": self._fitted_parameters,
            "_partially_fitted": partially,
            "_rng": fitted.rng,
            "_references": fitted.references,
            "crop_length_": fitted.architecture.crop_length,
            "max_epochs_": fitted.max_epochs,
            **net_attributes(fitted.net, fitted.architecture),
        }

    # ---- features

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
        return self._features_of_samples(self._read_fitted(X))

    def _features_of_samples(self, source: Source) -> np.ndarray:
        """Return the pooled features of each sample."""
        extract = self._pooled_features()
        features = np.empty((len(source), 0), np.float32)
        for rows, output in self._run(extract, source, partial(pooled_pieces, extract)):
            if not features.size:  # the first batch shows the number of columns
                features = np.empty((len(source), output.shape[1]), np.float32)
            features[rows] = output
        return features

    def transform_steps(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Turn each sample into features step by step.

        Step ``j`` is aligned with the input step ``j * downsampling_`` and does not
        depend on later ones, except with ``scaling="sample"``, which takes the mean and
        deviation of the whole sample. With a `step_window`, a step has the statistics
        of `pooling` over the steps up to it. The steps of an image are its patches.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_features_out), float32
            With ``n_steps = ceil(n_timesteps / downsampling_)``. Lists, and samples of
            different lengths, give a list of arrays (n_steps_i, n_features_out). Images
            give their grid: (n_samples, n_rows, n_columns, n_features_out).
        """
        source = self._read_fitted(X)
        steps = self._features_of_steps(source)
        return steps if source.ragged else np.stack(steps)

    def _features_of_steps(self, source: Source) -> list[np.ndarray]:
        """Return the features of each sample, step by step."""
        extract = self._step_features()
        steps: dict[int, np.ndarray] = {}
        n_steps = -(-source.lengths // self.downsampling_)
        for rows, output in self._run(extract, source, partial(step_pieces, extract)):
            for row, features in zip(rows.tolist(), output, strict=True):
                steps[row] = features[: n_steps[row]].copy()
        return [steps[row] for row in range(len(source))]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names or the number seen in `fit`, otherwise unused.

        Returns
        -------
        ndarray of str
            Such as ``"context_mean_0"``.
        """
        check_is_fitted(self)
        if input_features is not None:
            _check_feature_names_in(self, input_features)
        with own_settings(None), torch.inference_mode():
            pooled = self._pooled_features().named(*self._smallest_batch())
        return np.array(column_names(pooled), dtype=object)

    def _step_feature_names(self) -> np.ndarray:
        """Return the names of the columns of `transform_steps`."""
        with own_settings(None), torch.inference_mode():
            steps = self._step_features().named(self._smallest_batch()[0])
        return np.array(column_names(steps), dtype=object)

    def _smallest_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one sample that has all features, and its length."""
        x = torch.zeros(1, *self._smallest_input(), device=self.device_)
        return x, torch.full((1,), x.shape[1], device=x.device)

    def _run(
        self,
        extract: torch.nn.Module,
        source: Source,
        of_pieces: Callable[[Pieces], torch.Tensor],
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and outputs as arrays, with this estimator's threads."""
        model = self.net_.module_.eval()
        in_pieces = of_pieces if can_advance(model) else None
        inference = self._inference()
        with own_settings(self.n_jobs):
            for rows, output in run(extract, source, inference, in_pieces=in_pieces):
                features = output.cpu().numpy()
                if not np.isfinite(features).all():
                    raise ValueError("The model gives features that are not finite.")
                yield rows, features

    def _inference(self, device: str | None = None) -> Inference:
        """Return how the model runs. None is the device of the fitted model."""
        n_values = math.prod(self._smallest_input()[1:])  # of a step
        encoder = None if device or self.device_ != "cpu" else self.net_.module_.encoder
        return Inference(
            device or self.device_,
            autocast_type(self.precision),
            batch_steps(n_values, self.n_channels_in_, encoder),
            progress=bool(self.verbose) and device is None,
        )

    # ---- scores

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
            where guessing would be better. The mean over 256 latents of the training
            samples represents the N - 1 negatives, so that nothing is random and a
            sample's score does not depend on the others.

        Raises
        ------
        ValueError
            If a sample is too short for a single prediction.
        """
        source = self._read_fitted(X)
        scores = self._scores(source)
        too_short = np.flatnonzero(np.isnan(scores))
        if len(too_short):
            row = too_short[0]
            raise ValueError(self._nothing_to_predict(row, source.lengths[row]))
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`: higher is better, without labels.

        Samples that are too short for a single prediction do not count.

        Scores compare models of any size, context, `n_negatives`, `negatives` and
        `batch_size`, because N is the same for all. They do not compare models that
        predict other steps (`prediction_steps`, `skip_steps`, strides): nearer steps
        are easier. Nor do they compare data sets. A temperature that does not suit a
        model makes the bound loose.

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
        source = self._read_fitted(X)
        scores = self._scores(source)
        if np.isnan(scores).all():
            raise ValueError(self._nothing_to_predict(0, source.lengths[0]))
        return float(np.nanmean(scores))

    def contrastive_accuracy(self, X: Any) -> np.ndarray:
        """Return how often the true latent is closest to its prediction.

        Each prediction is compared with the true latent and with 256 latents of the
        training samples; guessing would be right in 0.4 % of cases. An accuracy near 1
        at all steps means that the task is too easy, near 0 that these steps cannot be
        predicted.

        Parameters
        ----------
        X : array, list or frame
            The samples, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (prediction_steps,), float64
            For each step ahead, the nearest first; NaN if no sample is long enough.
        """
        return self._compare(contrastive_accuracy, self._read_fitted(X))

    def _scores(self, source: Source) -> np.ndarray:
        """Return the score of each sample, NaN where it is too short."""
        temperature = self.net_.criterion_.temperature
        return self._compare(partial(score_samples, temperature=temperature), source)

    def _compare(
        self, function: Callable[..., np.ndarray], source: Source
    ) -> np.ndarray:
        """Return the result of `function` for the samples and the references."""
        with own_settings(self.n_jobs):
            return function(
                self.net_.module_,
                source,
                self._references,
                self._inference(),
                skip_steps=self._architecture.skip_steps,
            )

    # ---- checks

    def _read_fitted(self, X: Any) -> Source:
        check_is_fitted(self)
        return self._read(X, reset=False)

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Restore all attributes if the block raises."""
        before = vars(self).copy()
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
