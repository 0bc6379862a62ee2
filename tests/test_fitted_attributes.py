"""What a fit resolves, shows and keeps, whatever the parameters become later."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, CPCTransformer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 80, 2)).cumsum(1)
TEXTS = [" ".join(RNG.choice(list("abcdefgh"), 30)) for _ in range(20)]


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 2} | options
    return CPCTransformer(**{"random_state": 0} | options)


def resolved(fitted):
    """Return the steps of the estimator, and check them against its model."""
    loss, model = fitted.net_.criterion_, fitted.net_.module_
    assert fitted.skip_steps_ == loss.skip_steps
    assert fitted.prediction_steps_ == model.prediction_steps
    return (
        fitted.prediction_steps_,
        fitted.skip_steps_,
        fitted.crop_length_,
        fitted.max_epochs_,
    )


class Stop(Callback):
    """Ends the training after an epoch."""

    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


AUTO = {"max_epochs": "auto", "lr": 5e-3, "callbacks": [Stop()]}


def test_auto_is_resolved_for_sequences():
    assert resolved(cpc(**AUTO).fit(X)) == (4, 1, 80, 100)
    long = RNG.normal(size=(3, 3000)).cumsum(1)
    assert resolved(cpc(encoder="conv").fit(long)) == (4, 5, 1024, 2)
    assert resolved(cpc(batch_size=1, **AUTO).fit(X[:3]))[3] == 10
    options = {"prediction_steps": 4, "skip_steps": 2, "crop_length": 50}
    assert resolved(cpc(**options).fit(X)) == (4, 2, 50, 2)


def test_auto_is_resolved_for_images_and_texts():
    images = CPCImageTransformer(latent_size=8, max_epochs=1, random_state=0)
    assert resolved(images.fit(load_digits().images[:20])) == (1, 3, 5, 1)
    texts = CPCTextTransformer(tokenizer=list, latent_size=8, random_state=0, **AUTO)
    assert resolved(texts.fit(TEXTS)) == (3, 0, 48, 100)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_auto_is_how_long_is_trained():
    whole = {"callbacks": None}
    assert cpc(**AUTO | whole).fit(X).n_epochs_ == 100
    assert cpc(batch_size=1, **AUTO | whole).fit(X[:3]).n_epochs_ == 10


def test_attributes_survive_a_file(tmp_path):
    fitted = cpc(crop_length=50).fit(X)
    fitted.save(tmp_path / "model")
    assert resolved(CPCTransformer.load(tmp_path / "model")) == resolved(fitted)


def test_partial_fit_is_one_epoch():
    fitted = cpc(max_epochs=7).partial_fit(X)
    assert (fitted.max_epochs_, fitted.n_epochs_) == (1, 1)


# ---- what a warm start may change, and what is checked again


def test_auto_stays_what_it_was_on_a_warm_start():
    fitted = cpc(warm_start=True).fit(X)
    assert resolved(fitted.fit(X[:, :40])) == (4, 1, 40, 2)
    assert resolved(fitted.fit(X)) == (4, 1, 80, 2)


def test_skip_steps_may_change_on_a_warm_start():
    fitted = cpc(warm_start=True).fit(X)
    assert resolved(fitted.set_params(skip_steps=5).fit(X)) == (4, 5, 80, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skip_steps": 1000}, r"skip_steps=1000 needs at least 1002 latent steps"),
        (
            {"crop_length": 8},
            r"needs at least 3 latent steps, but .* gives 2 \(8 ti",
        ),
        ({"negatives": "same_group"}, "needs groups"),
        ({"batch_size": 1, "negatives": "other_sequences"}, "other sequences in a bat"),
        ({"skip_steps": -1}, "The 'skip_steps' parameter"),
        ({"context": "gru"}, "context was changed from 'lstm' to 'gru'"),
        ({"early_stopping": True, "validation_fraction": 0.001}, None),
    ],
)
def test_a_warm_start_is_checked_like_a_fresh_fit(change, message):
    fitted = cpc(warm_start=True).fit(X)
    before = fitted.transform(X)
    fitted.set_params(**change)
    if message is None:  # one group at least is held out
        assert fitted.fit(X).n_epochs_ > 2
        return
    with pytest.raises(ValueError, match=message):
        fitted.fit(X)
    assert fitted.n_epochs_ == 2
    np.testing.assert_array_equal(fitted.transform(X), before)
    with pytest.raises(ValueError, match=message):
        fitted.partial_fit(X)


def test_samples_too_short_for_the_model_are_refused_on_a_warm_start():
    fitted = cpc(warm_start=True).fit(X)
    with pytest.raises(ValueError, match=r"at least 3 latent steps, .* gives 2"):
        fitted.fit(X[:, :8])
    assert fitted.fit(X[:, :9]).n_epochs_ == 4


# ---- one truth


def test_scores_follow_the_fitted_objective_and_not_the_live_parameters():
    fitted = cpc().fit(X)
    score, accuracy = fitted.score(X), fitted.contrastive_accuracy(X)
    fitted.set_params(temperature=5.0, skip_steps=0, prediction_steps=1)
    assert fitted.score(X) == score
    np.testing.assert_array_equal(fitted.contrastive_accuracy(X), accuracy)
    hot = cpc(temperature=5.0).fit(X)
    assert abs(hot.score(X) - score) > 0.1


def test_the_temperature_of_a_warm_start_is_the_fitted_one():
    fitted = cpc(warm_start=True).fit(X)
    fitted.set_params(temperature=0.5).fit(X)
    assert fitted.net_.criterion_.temperature == 0.5


def test_the_score_of_early_stopping_is_the_score():
    fitted = cpc(early_stopping=True, validation_fraction=0.5, max_epochs=1).fit(X)
    (score,) = fitted.validation_scores_
    halves = [fitted.score(X[rows]) for rows in (slice(0, 10), slice(10, 20))]
    assert min(halves) - 0.5 < score < max(halves) + 0.5


def test_the_precision_of_a_warm_start_is_the_present_one():
    fitted = cpc(warm_start=True).fit(X)
    assert fitted.net_.autocast is None
    assert fitted.set_params(precision="bf16").fit(X).net_.autocast is not None


LATER = {
    "latent_size": 99,
    "context_size": 99,
    "context": "conv",
    "encoder": "conv",
    "scaling": "sample",
    "prediction_steps": 1,
    "skip_steps": 9,
    "temperature": 3.0,
    "negatives": "same_sequence",
    "crop_length": 7,
    "batch_size": 3,
}


def used(fitted):
    """Return what a fitted estimator gives."""
    return [
        fitted.transform(X),
        fitted.transform_steps(X),
        fitted.score_samples(X),
        fitted.contrastive_accuracy(X),
        fitted.stream().push(X[0]),
        fitted.get_feature_names_out(),
    ]


def test_nothing_follows_a_parameter_that_was_set_after_the_fit(tmp_path):
    fitted = cpc().fit(X)
    parameters, before = fitted.get_params(), used(fitted)
    for name, value in LATER.items():
        fitted.set_params(**parameters | {name: value})
        fitted.save(tmp_path / "model")
        for other in (fitted, CPCTransformer.load(tmp_path / "model")):
            for result, known in zip(used(other), before, strict=True):
                np.testing.assert_array_equal(result, known, err_msg=name)


def test_streams_know_how_the_model_scales():
    fitted = cpc(scaling="sample").fit(X).set_params(scaling="channel")
    with pytest.raises(ValueError, match="scaling='sample' needs whole sequences"):
        fitted.stream()
