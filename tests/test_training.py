"""What `fit`, `partial_fit` and the scores do."""

import copy
import pickle
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer
from sklearn_cpc._compat import with_callbacks


def waves(n_samples=40, n_timesteps=80, seed=0):
    """Sines of many frequencies and phases with a little noise."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.1, 0.6, (n_samples, 1, 1))
    phase = rng.uniform(0, 6.28, (n_samples, 1, 2))
    time = np.arange(n_timesteps)[None, :, None]
    noise = rng.normal(scale=0.1, size=(n_samples, n_timesteps, 2))
    return np.sin(frequency * time + phase) + noise


def repickled(fitted):
    return pickle.loads(pickle.dumps(fitted))


X = waves()


def cpc(**options):
    options = {
        "latent_size": 16,
        "context_size": 16,
        "max_epochs": 5,
        "lr": 5e-3,
    } | options
    return CPCTransformer(random_state=0, **options)


# Far ahead it takes more to tell the future.
SIZES = pytest.mark.parametrize(
    ("encoder", "size"),
    [("kernels", 32), pytest.param("conv", 32, marks=pytest.mark.slow)],
)


@cache
def trained(encoder, size, max_epochs):
    """Several tests look at it, and none may change it."""
    options = {"encoder": encoder, "latent_size": size, "context_size": size}
    return cpc(max_epochs=max_epochs, **options).fit(X)


@SIZES
def test_learns_to_predict(encoder, size):
    fitted, untrained = (trained(encoder, size, n) for n in (80, 0))
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0] - 1
    chance = 1 / 129
    assert fitted.net_.history[-1]["train_accuracy"] > 5 * chance
    new = waves(seed=1)
    assert fitted.score(new) > untrained.score(new) + 1


class StopAtOnce(Callback):
    """Notes how many epochs there would have been."""

    def on_epoch_end(self, net, **kwargs):
        self.max_epochs_ = net.max_epochs
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("batch_size", "max_epochs"), [(40, 100), (20, 50), (8, 20), (2, 5)]
)
def test_auto_epochs_give_100_updates_two_epochs_or_at_most_100_epochs(
    batch_size, max_epochs
):
    stop = StopAtOnce()
    cpc(max_epochs="auto", batch_size=batch_size, callbacks=[stop]).fit(X)
    assert stop.max_epochs_ == max_epochs


@pytest.mark.parametrize(
    ("encoder", "n_timesteps", "skip_steps", "n_ahead"),
    [
        ("kernels", 4, 2, 1),  # one step is left to predict
        ("kernels", 8, 6, 1),
        ("kernels", 16, 6, 4),
        ("kernels", 80, 1, 4),  # a latent for four steps
        ("conv", 8, 6, 1),
        ("conv", 80, 34, 4),
    ],
)
def test_auto_steps_follow_the_length(encoder, n_timesteps, skip_steps, n_ahead):
    net = cpc(encoder=encoder, max_epochs=0).fit(X[:, :n_timesteps]).net_
    assert net.criterion_.skip_steps == skip_steps
    assert net.module_.predictor.prediction_steps == n_ahead


def test_explicit_steps_are_used():
    net = cpc(max_epochs=1, prediction_steps=5, skip_steps=0).fit(X).net_
    assert net.criterion_.skip_steps == 0
    assert net.module_.prediction_steps == 5


def test_long_sequences_are_cropped_in_training_only():
    long = waves(4, 700)
    fitted = cpc(crop_length=100, max_epochs=1, batch_size=7).fit(long)
    # 7 windows of each, side by side: 28 windows in batches of 7.
    assert fitted.net_.history[-1]["train_batch_count"] == 4
    assert fitted.downsampling_ == 4
    assert fitted.transform_steps(long).shape[1] == 175


def test_groups_are_split_whole():
    groups = np.repeat([3, 1, 2, 7], 10)
    fitted = cpc(early_stopping=True, validation_fraction=0.25, max_epochs=2)
    fitted.fit(X, groups=groups)
    assert len(fitted.validation_scores_) == 2
    assert fitted.net_.history[-1, "batches"] == []


@pytest.mark.parametrize("negatives", ["same_group", "same_group_other_sequences"])
def test_groups_restrict_the_negatives(negatives):
    groups = np.repeat(list("abcd"), 10)
    fitted = cpc(negatives=negatives, max_epochs=2, n_negatives="all")
    fitted.fit(X, groups=groups)
    other = cpc(max_epochs=2, n_negatives="all").fit(X)
    assert fitted.loss_curve_[0] < other.loss_curve_[0]


def test_negatives_of_other_and_of_the_same_sequence():
    for negatives, n_candidates in [
        ("same_sequence", 20),  # a latent for four steps
        ("other_sequences", 19 * 20 + 1),
    ]:
        fitted = cpc(
            negatives=negatives, n_negatives="all", batch_size=20, max_epochs=1
        )
        history = fitted.fit(X).net_.history
        assert history[-1]["train_chance"] == pytest.approx(np.log(n_candidates))


def test_windows_of_one_sequence_are_not_other_sequences():
    """One batch of two sequences of four windows each."""
    long = waves(2, 400)
    for negatives, n_candidates in [
        ("same_sequence", 100),
        ("other_sequences", 100 + 1),
    ]:
        fitted = cpc(negatives=negatives, n_negatives="all", crop_length=100)
        history = fitted.set_params(max_epochs=1).fit(long).net_.history
        assert history[-1]["train_chance"] == pytest.approx(np.log(n_candidates))


# ---- going on


def test_warm_start_goes_on():
    fitted = cpc(warm_start=True).fit(X)
    first = fitted.transform(X)
    fitted.set_params(max_epochs=3).fit(X)
    assert fitted.n_epochs_ == 8
    assert len(fitted.loss_curve_) == 8
    assert not np.array_equal(fitted.transform(X), first)


@pytest.mark.parametrize("pause", [copy.deepcopy, repickled])
def test_a_warm_start_is_exactly_where_a_longer_fit_would_be(pause):
    options = {"batch_size": 8, "warm_start": True}  # the pause is within the warm-up
    parts = cpc(max_epochs=2, **options).fit(X)
    parts = pause(parts).set_params(max_epochs=5).fit(X)
    whole = cpc(max_epochs=7, **options).fit(X)
    assert parts.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(parts.transform(X), whole.transform(X))


def test_epochs_of_partial_fit_are_those_of_fit():
    parts = cpc(scaling=None)
    for _ in range(5):
        parts.partial_fit(X)
    whole = cpc(scaling=None, max_epochs=5).fit(X)
    np.testing.assert_array_equal(parts.transform(X), whole.transform(X))


def test_without_warm_start_a_fit_starts_anew():
    fitted = cpc().fit(X)
    first = fitted.transform(X)
    fitted.fit(X[:20]).fit(X)
    np.testing.assert_array_equal(fitted.transform(X), first)


def test_partial_fit_adds_epochs_and_statistics():
    fitted = cpc()
    for part in (X[:20], 5 + X[20:]):
        fitted.partial_fit(part)
    assert fitted.n_epochs_ == 2
    all_steps = np.concatenate([X[:20], 5 + X[20:]]).reshape(-1, 2)
    np.testing.assert_allclose(fitted._scaling.moments.mean, all_steps.mean(0))


@pytest.mark.slow
def test_partial_fit_learns():
    fitted = cpc(latent_size=32, context_size=32)
    for _ in range(60):
        fitted.partial_fit(X)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0] - 1


def test_partial_fit_does_not_touch_an_earlier_copy():
    fitted = cpc().partial_fit(X)
    shallow = copy.copy(fitted)
    before = shallow.transform(X)
    fitted.partial_fit(X + 3)
    np.testing.assert_array_equal(shallow.transform(X), before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("latent_size", 9), ("context", "conv"), ("prediction_steps", 2)],
)
def test_the_shape_of_a_model_cannot_change_as_it_goes_on(name, value):
    fitted = cpc(warm_start=True).fit(X)
    before = fitted.transform(X)
    with pytest.raises(ValueError, match=f"{name} was changed from .* to {value!r}"):
        fitted.set_params(**{name: value}).fit(X)
    np.testing.assert_array_equal(fitted.transform(X), before)


# ---- copies


@pytest.mark.parametrize(
    ("copied", "warm_start"), [(copy.deepcopy, False), (repickled, True)]
)
def test_copies_transform_score_and_go_on_alike(copied, warm_start):
    fitted = cpc(warm_start=warm_start).fit(X)
    other = copied(fitted)
    np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    assert other.score(X) == fitted.score(X)
    np.testing.assert_array_equal(
        other.partial_fit(X).transform(X), fitted.partial_fit(X).transform(X)
    )


# ---- scores


def test_score_is_the_mean_of_the_samples_and_at_most_log_1024():
    fitted = trained("kernels", 32, 80)
    scores = fitted.score_samples(X)
    assert scores.shape == (len(X),)
    assert fitted.score(X) == pytest.approx(scores.mean())
    assert (scores <= np.log(1024)).all()


def test_score_of_a_sample_does_not_depend_on_the_others():
    fitted = cpc().fit(X)
    alone = [fitted.score_samples(x[None])[0] for x in X[:5]]
    np.testing.assert_allclose(fitted.score_samples(X)[:5], alone, atol=1e-5)


@SIZES
def test_noise_scores_lower_than_what_the_model_knows(encoder, size):
    fitted = trained(encoder, size, 80)
    noise = np.random.default_rng(1).normal(size=X.shape) * X.std()
    assert fitted.score_samples(noise).max() < fitted.score_samples(X).min()


def test_sequences_too_short_to_score():
    fitted = cpc().fit(X)
    mixed = [X[0], X[1, :2]]
    assert fitted.score(mixed) == pytest.approx(fitted.score(mixed[:1]))
    with pytest.raises(ValueError, match="Sample 1 of X has 2 time steps: nothing"):
        fitted.score_samples(mixed)
    with pytest.raises(ValueError, match="Sample 0 of X has 2 time steps"):
        fitted.score(mixed[1:])


@pytest.mark.slow
def test_near_steps_are_easier_to_tell_than_far_ones():
    options = {"encoder": "conv", "prediction_steps": 8, "skip_steps": 0}
    fitted = cpc(max_epochs=60, **options).fit(X)
    accuracy = fitted.contrastive_accuracy(X)
    assert accuracy.shape == (8,)
    assert 10 / 257 < accuracy.mean() < 1
    assert accuracy[:2].mean() > accuracy[-2:].mean()
    untrained = cpc(max_epochs=0, **options).fit(X)
    assert untrained.contrastive_accuracy(X).max() < 5 / 257


# ---- warnings


def test_noise_warns_that_nothing_was_learned():
    noise = np.random.default_rng(0).normal(size=(30, 60, 1))
    message = r"never left log N = 4\.86.*max_ep"
    with pytest.warns(ConvergenceWarning, match=message) as caught:
        cpc(max_epochs=60, lr=1e-5, latent_size=4).fit(noise)
    if with_callbacks.__module__.startswith("sklearn."):  # else a level is missing
        assert caught[0].filename == __file__


class Constant(torch.nn.Module):
    """An encoder that has collapsed."""

    def __init__(self):
        super().__init__()
        self.value = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.value.expand(*x.shape[:2], 3)


def test_a_collapse_warns():
    with pytest.warns(ConvergenceWarning, match="latents collapsed: .* Use a lower lr"):
        cpc(encoder=Constant(), max_epochs=60).fit(X)


class Explode(Callback):
    """Spoil the weights after some epochs."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 40:
            with torch.no_grad():
                for parameter in net.module_.predictor.parameters():
                    parameter.mul_(-1)


def test_a_divergence_warns():
    message = r"diverged: the loss had come down to .*, but ended at .* log N = 4\.86"
    with pytest.warns(ConvergenceWarning, match=message):
        cpc(max_epochs=40, callbacks=[Explode()]).fit(X)


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ({"skip_steps": 0, "prediction_steps": 1}, True),
        ({"skip_steps": 2, "prediction_steps": 1}, True),
        ({"skip_steps": 3, "prediction_steps": 1}, False),
        ({"skip_steps": 0, "prediction_steps": 4}, False),
        ({"skip_steps": 0, "prediction_steps": 1, "max_epochs": 0}, False),
    ],
)
def test_targets_that_are_nearly_copies_warn(options, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = cpc(encoder="conv", **options).fit(X)
    assert fitted.receptive_field_ == 35
    messages = [str(w.message) for w in caught if "too easy" in str(w.message)]
    assert bool(messages) == warns
    if options["skip_steps"] == 0 and warns:
        assert "shares 97% of the 35 time steps" in messages[0]


def test_sequences_too_short_to_predict_in_take_no_batches_for_themselves():
    rng = np.random.default_rng(0)
    long = [rng.normal(size=(60, 2)).cumsum(0) for _ in range(64)]
    estimator = cpc(max_epochs=1)
    (expected,) = estimator.fit(long).loss_curve_
    (loss,) = estimator.fit(long + [x[:2] for x in long]).loss_curve_
    assert loss == pytest.approx(expected, rel=0.1)
