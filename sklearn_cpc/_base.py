"""What all CPC estimators share: training, features, score, and how they fail."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)
from skorch.callbacks import EarlyStopping

from ._compat import HasMethods, Interval, StrOptions
from ._runtime import resolve_device, spawn_seeds, torch_threads
from .nn.checks import output_size
from .nn.contexts import CONTEXTS
from .nn.features import FEATURES, PooledFeatures, StepFeatures
from .nn.loss import CPCLoss
from .nn.model import CPC
from .nn.negatives import POOLS
from .nn.pooling import POOLINGS
from .training.batches import RandomCrops
from .training.callbacks import CosineSchedule, EpochProgress, ValidationScore
from .training.inference import reference_latents, run, score_samples
from .training.net import CPCNet

# What max_epochs="auto" aims at: small sets need updates, not epochs.
N_UPDATES, MAX_EPOCHS = 200, 100
# What prediction_steps="auto" is where sequences are long enough.
PREDICTION_STEPS = 8
# Latents of one training window, where the encoder does not say its length.
CROP_LATENTS = 128
# Samples times steps that go through the model at once in transform.
BATCH_STEPS = 2**17


class BaseCPC(TransformerMixin, BaseEstimator):
    """Base of the CPC estimators; see `CPCTransformer` for the parameters.

    A subclass stores its parameters in ``__init__`` and has two hooks: `_read`,
    from what a user passes to sequences that give batches, and `_build_encoder`.
    """

    _parameter_constraints: dict[str, Any] = {
        "context": [StrOptions(set(CONTEXTS)), torch.nn.Module],
        "latent_size": [Interval(Integral, 1, None, closed="left")],
        "context_size": [Interval(Integral, 1, None, closed="left")],
        "prediction_steps": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "skip_steps": [Interval(Integral, 0, None, closed="left")],
        "n_negatives": [StrOptions({"all"}), Interval(Integral, 1, None, closed="left")],
        "negatives": [StrOptions(set(POOLS))],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "features": [StrOptions(set(FEATURES))],
        "pooling": [StrOptions(set(POOLINGS)), tuple, list],
        "max_epochs": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, tuple, None],
        "accelerator": [HasMethods(["prepare", "backward"]), None],
        "device": [str],
        "precision": [StrOptions({"float32", "bf16"})],
        "n_jobs": [Integral, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "BaseCPC":
        """Learn to tell the future of the sequences from other positions.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.
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
            self._train(source, groups, resume, self.max_epochs, schedule=True)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "BaseCPC":
        """Train for one epoch on some more sequences, at a constant rate.

        The first call builds the model: its strides follow the lengths of the
        sequences it sees.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.
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
            self._train(source, groups, resume, 1, schedule=False)
        return self

    def _train(
        self, source: Any, groups: Any, resume: bool, max_epochs: Any, schedule: bool
    ) -> None:
        """Train a new net, or a copy of the one there is, and keep it in the end."""
        groups = self._check_groups(groups, len(source))
        self._pooling_names()
        with torch_threads(self.n_jobs):
            if resume:
                self._check_architecture()
                net, rng = copy.deepcopy((self.net_, self._rng))
            else:
                net, rng = self._new_net(source)
            train, valid, groups = self._split(source, groups, rng)
            batches = RandomCrops(
                train,
                batch_size=self.batch_size,
                crop_length=self._longest_window(net.module_.encoder, train),
                rng=rng,
                groups=groups,
            )
            if max_epochs == "auto":
                max_epochs = min(-(-N_UPDATES // len(batches)), MAX_EPOCHS)
            n_before = len(net.history)
            net.max_epochs = max_epochs
            net.set_params(lr=self.lr, optimizer__weight_decay=self.weight_decay)
            for name in ("n_negatives", "negatives", "skip_steps", "temperature"):
                setattr(net.criterion_, name, getattr(self, name))
            net.callbacks = self._net_callbacks(schedule, valid is not None)
            net.initialize_callbacks()
            if max_epochs:
                net.partial_fit((batches, valid))
            self._references = reference_latents(
                net.module_,
                train,
                size=batches.crop_length,
                **self._run_options(batches.crop_length, net.device),
            )
        self.net_, self._rng = net, rng
        self._architecture = self._architecture_parameters()
        self.device_ = net.device
        self.downsampling_ = net.module_.downsampling
        self.receptive_field_ = net.module_.receptive_field
        self.n_epochs_ = len(net.history)
        self.loss_curve_ = [float(epoch["train_loss"]) for epoch in net.history]
        self.validation_scores_ = [
            float(epoch["valid_score"]) for epoch in net.history if "valid_score" in epoch
        ]
        if schedule:
            self._warn_if_nothing_learned(net.history[n_before:], len(batches))

    def _new_net(self, source: Any) -> tuple[CPCNet, np.random.Generator]:
        """Build a model that suits the sequences, with initial weights."""
        weights, batches, negatives = spawn_seeds(self.random_state, 3)
        generator = torch.Generator().manual_seed(weights)
        encoder = self._build_encoder(source, generator)
        downsampling = getattr(encoder, "downsampling", 1)
        longest_window = self._longest_window(encoder, source)
        n_latents = -(-longest_window // downsampling)
        latent_size, context_size = self.latent_size, self.context_size
        if encoder is self.encoder:
            encoder = copy.deepcopy(encoder).cpu()
            latent_size = output_size(
                encoder, "encoder", self.n_channels_in_, longest_window, downsampling
            )
        context = self.context
        if isinstance(context, torch.nn.Module):
            context = copy.deepcopy(context).cpu()
            context_size = output_size(context, "context", latent_size, n_latents)
        module = CPC.build(
            n_channels=self.n_channels_in_,
            n_timesteps=longest_window,
            encoder=encoder,
            context=context,
            latent_size=latent_size,
            context_size=context_size,
            prediction_steps=self._n_predictions(n_latents, longest_window),
            generator=generator,
        )
        net = CPCNet(
            module,
            CPCLoss(generator=torch.Generator().manual_seed(negatives)),
            optimizer=torch.optim.AdamW,
            lr=self.lr,
            autocast=self._autocast(),
            device=resolve_device(self.device),
            train_split=None,
            verbose=0,
        )
        return net.initialize(), np.random.default_rng(batches)

    def _split(self, source: Any, groups: Any, rng: Any) -> tuple[Any, Any, Any]:
        """Set a part aside for validation, whole groups if there are groups."""
        if not self.early_stopping:
            return source, None, groups
        n_samples = len(source)
        splitter = GroupShuffleSplit(
            1,
            test_size=self.validation_fraction,
            random_state=int(rng.integers(2**31)),
        )
        try:
            ((train, valid),) = splitter.split(
                np.empty(n_samples),
                groups=np.arange(n_samples) if groups is None else groups,
            )
        except ValueError as error:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves no sample on "
                f"one side, of {n_samples} samples: {error}"
            ) from None
        return (
            source.take(train),
            source.take(valid),
            None if groups is None else groups[train],
        )

    def _net_callbacks(self, schedule: bool, validate: bool) -> list[Any]:
        """Return what runs along with the training, the user's own last."""
        callbacks: list[Any] = []
        if schedule:
            callbacks.append(("schedule", CosineSchedule()))
        if validate:
            callbacks.append(("valid_score", ValidationScore(self._score_options())))
        if self.verbose:
            callbacks.append(("progress", EpochProgress()))
        callbacks += self.callbacks or []
        if validate:
            stop = EarlyStopping(
                "valid_score",
                patience=self.n_iter_no_change,
                lower_is_better=False,
                load_best=True,
                sink=lambda _: None,
            )
            callbacks.append(("early_stopping", stop))
        return callbacks

    def _warn_if_nothing_learned(self, history: Any, n_batches: int) -> None:
        """Warn if the loss stayed where guessing would be."""
        if len(history) * n_batches < N_UPDATES // 4:
            return
        best = min(history, key=lambda epoch: epoch["train_loss"])
        if best["train_loss"] > 0.99 * best["train_chance"]:
            warnings.warn(
                f"The loss never left log N = {best['train_chance']:.2f}, which is "
                f"guessing (best epoch {best['train_loss']:.2f}). Train longer "
                "(max_epochs), use a higher lr, or predict nearer steps "
                "(prediction_steps, skip_steps). Noise cannot be predicted at all.",
                ConvergenceWarning,
                stacklevel=5,
            )

    # ---- features and scores

    def transform(self, X: Any) -> np.ndarray:
        """Turn each sequence into one vector of pooled features.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            Named by `get_feature_names_out`.
        """
        check_is_fitted(self)
        source = self._read(X, reset=False)
        extract = PooledFeatures(
            self.net_.module_, self.features, self._pooling_names()
        )
        batches = self._run(extract, source)
        rows, output = zip(*batches, strict=True)
        features = np.empty((len(source), output[0].shape[1]), np.float32)
        features[np.concatenate(rows)] = np.concatenate(output)
        return features

    def transform_steps(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Turn each sequence into features step by step.

        Step ``j`` is aligned with the input step ``j * downsampling_`` and does
        not depend on later ones.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_features_out), float32
            With ``n_steps = ceil(n_timesteps / downsampling_)``. For a list, or
            where lengths differ, a list of arrays (n_steps_i, n_features_out).
        """
        check_is_fitted(self)
        source = self._read(X, reset=False)
        extract = StepFeatures(self.net_.module_, self.features)
        steps: list[Any] = [None] * len(source)
        n_steps = -(-source.lengths // self.downsampling_)
        for rows, output in self._run(lambda x, lengths: extract(x), source):
            for row, features in zip(rows, output, strict=True):
                steps[row] = features[: n_steps[row]].copy()
        return steps if source.ragged else np.stack(steps)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how well the model predicts each sequence, in nats.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            ``log N - InfoNCE`` at N = 1024, a lower bound of the information
            that contexts and later latents share: at most 6.93, and below 0
            where guessing would be better. The N - 1 negatives are represented
            by the mean over 256 latents of the training sequences, so nothing
            is random and a sample's score does not depend on the others.

        Raises
        ------
        ValueError
            If a sequence is too short for a single prediction.
        """
        check_is_fitted(self)
        source = self._read(X, reset=False)
        with torch_threads(self.n_jobs):
            scores = score_samples(
                self.net_.module_,
                source,
                self._references,
                **self._score_options(),
                **self._run_options(source.lengths.max(), self.device_),
            )
        too_short = np.flatnonzero(np.isnan(scores))
        if len(too_short):
            row = too_short[0]
            raise ValueError(
                f"Sample {row} of X has {source.lengths[row]} time steps: nothing to "
                f"predict. A score needs more than "
                f"{(self.skip_steps + 1) * self.downsampling_}."
            )
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`: higher is better, without labels.

        Parameters
        ----------
        X : array, list or frame
            The sequences, in any of the forms the class accepts.
        y : Ignored
            Not used; present for scikit-learn's searches.

        Returns
        -------
        float
            In nats, at most 6.93.
        """
        return float(self.score_samples(X).mean())

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
        extract = PooledFeatures(
            self.net_.module_, self.features, self._pooling_names()
        )
        x = torch.zeros(1, 1, self.n_channels_in_, device=self.device_)
        with torch.inference_mode():
            pooled = extract.named(x, torch.ones(1, dtype=torch.int64, device=x.device))
        names = [f"{name}_{i}" for name, h in pooled.items() for i in range(h.shape[1])]
        return np.array(names, dtype=object)

    def _run(self, extract: Any, source: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and outputs as arrays, with this estimator's threads."""
        self.net_.module_.eval()
        with torch_threads(self.n_jobs):
            options = self._run_options(source.lengths.max(), self.device_)
            for rows, output in run(extract, source, **options):
                yield rows, output[: len(rows)].cpu().numpy()

    def _run_options(self, longest: int, device: str) -> dict[str, Any]:
        return {
            "batch_size": max(1, BATCH_STEPS // int(longest)),
            "device": device,
            "autocast": self._autocast(),
        }

    def _score_options(self) -> dict[str, Any]:
        return {"skip_steps": self.skip_steps, "temperature": self.temperature}

    # ---- checks and choices

    def _check_groups(self, groups: Any, n_samples: int) -> np.ndarray | None:
        """Return integer groups, or None."""
        if groups is None:
            if "group" in self.negatives:
                raise ValueError(
                    f"negatives={self.negatives!r} needs groups: fit(X, groups=...)."
                )
            return None
        groups = column_or_1d(groups)
        if len(groups) != n_samples:
            raise ValueError(
                f"groups has {len(groups)} entries, but X has {n_samples} samples."
            )
        return np.unique(groups, return_inverse=True)[1]

    def _pooling_names(self) -> tuple[str, ...]:
        names = (self.pooling,) if isinstance(self.pooling, str) else tuple(self.pooling)
        if not names or len(set(names)) < len(names) or not set(names) <= set(POOLINGS):
            raise ValueError(
                f"pooling={self.pooling!r} must be one or several different ones of "
                f"{', '.join(map(repr, POOLINGS))}."
            )
        return names

    def _longest_window(self, encoder: Any, source: Any) -> int:
        """Return the number of steps of the longest training window."""
        longest = int(source.lengths.max())
        if self.crop_length is None:
            return longest
        if self.crop_length != "auto":
            return min(self.crop_length, longest)
        default = CROP_LATENTS * getattr(encoder, "downsampling", 1)
        return min(getattr(encoder, "crop_length", default), longest)

    def _n_predictions(self, n_latents: int, longest_window: int) -> int:
        """Return how many steps ahead to predict, or say why it cannot be done."""
        n_possible = n_latents - 1 - self.skip_steps
        automatic = self.prediction_steps == "auto"
        n_wanted = 1 if automatic else self.prediction_steps
        if n_possible >= n_wanted:
            return min(PREDICTION_STEPS, n_possible) if automatic else n_wanted
        table = ", n_features = 1" if self.n_features_in_ == longest_window == 1 else ""
        raise ValueError(
            f"prediction_steps={self.prediction_steps!r} with skip_steps="
            f"{self.skip_steps} needs at least {n_wanted + 1 + self.skip_steps} latent "
            f"steps, but the longest training window gives {n_latents} "
            f"({longest_window} time steps{table}). Use "
            + (f"prediction_steps <= {n_possible}, " if n_possible > 0 else "")
            + "longer sequences, or an encoder with smaller strides."
        )

    def _architecture_parameters(self) -> dict[str, Any]:
        names = ("encoder", "context", "latent_size", "context_size", "prediction_steps")
        return {name: getattr(self, name) for name in names}

    def _check_architecture(self) -> None:
        """Refuse to go on with a model that has another shape than asked for."""
        for name, value in self._architecture_parameters().items():
            if value != self._architecture[name]:
                raise ValueError(
                    f"{name} was changed from {self._architecture[name]!r} to "
                    f"{value!r}, but the fitted model cannot change its shape. Fit "
                    "with warm_start=False, or set it back."
                )

    def _autocast(self) -> torch.dtype | None:
        return torch.bfloat16 if self.precision == "bf16" else None

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Restore all attributes if the block raises."""
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
