"""Where negatives come from with negatives="auto", and what that keeps apart."""

import numpy as np
import pytest

from sklearn_cpc import CPCTextTransformer, CPCTransformer
from sklearn_cpc.training.architecture import AutoDefaults
from sklearn_cpc.training.options import ANCHORS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 60)).cumsum(1)
SMALL = {"latent_size": 8, "context_size": 8, "max_epochs": 1, "random_state": 0}


def cpc(**options):
    return CPCTransformer(**SMALL | options)


@pytest.mark.parametrize(
    ("options", "groups", "expected"),
    [
        ({}, None, "batch"),
        ({"crop_length": 40}, None, "batch"),  # one window each
        ({"crop_length": 30}, None, "same_sequence"),  # two windows each
        ({}, np.arange(12) % 3, "same_group"),
        ({"crop_length": 30}, np.arange(12) % 3, "same_group"),
        ({"negatives": "batch"}, np.arange(12) % 3, "batch"),
        ({"negatives": "other_sequences"}, None, "other_sequences"),
    ],
)
def test_auto_chooses_by_groups_and_windows(options, groups, expected):
    fitted = cpc(**options).fit(X, groups=groups)
    assert fitted.negatives_ == expected
    assert fitted.net_.criterion_.negatives == expected


def test_auto_asks_what_most_sequences_give():
    long, short = RNG.normal(size=(5, 300)), RNG.normal(size=(4, 40))
    most = cpc(crop_length=40).fit([*long, *short])
    assert most.negatives_ == "same_sequence"
    few = cpc(crop_length=40).fit([*long[:3], *short])
    assert few.negatives_ == "batch"


def test_texts_keep_their_topics():
    texts = ["".join(RNG.choice(list("abcd"), 90)) for _ in range(8)]
    text = CPCTextTransformer(tokenizer=list, crop_length=30, **SMALL).fit(texts)
    assert text.negatives_ == "batch"


def test_a_resumed_fit_chooses_anew():
    fitted = cpc(warm_start=True).fit(X)
    assert fitted.negatives_ == "batch"
    assert fitted.fit(X, groups=np.arange(12) % 2).negatives_ == "same_group"


@pytest.mark.parametrize(
    ("n_anchors", "expected"), [("auto", 8 * ANCHORS), ("all", None), (5, 5)]
)
def test_anchors_of_a_batch(n_anchors, expected):
    fitted = cpc(batch_size=8, n_anchors=n_anchors).fit(X)
    assert fitted.net_.criterion_.n_anchors == expected


@pytest.mark.parametrize("n_anchors", [0, -1, "some", 1.5, None])
def test_anchors_that_are_no_number_are_refused(n_anchors):
    with pytest.raises(ValueError, match="n_anchors"):
        cpc(n_anchors=n_anchors).fit(X)


def test_length_of_a_fit_follows_the_number_of_batches():
    auto = AutoDefaults(updates=100, epochs=3, most_updates=1000)
    assert [auto.max_epochs(n, 10**6) for n in (1, 7, 33, 40, 200, 357, 999, 5000)] == [
        100, 15, 4, 3, 3, 3, 2, 1
    ]  # fmt: skip
    assert auto.max_epochs(33, 10**6, within=True) == 13
    assert auto.max_epochs(357, 10**6, within=True) == 3


def test_tiny_sets_get_fewer_updates():
    auto = AutoDefaults(updates=100, updates_within=400, steps_per_update=8)
    assert [auto.max_epochs(1, n) for n in (1, 160, 400, 799, 800, 10**6)] == [
        20, 20, 50, 99, 100, 100
    ]  # fmt: skip
    assert auto.max_epochs(5, 1600, within=True) == 40


@pytest.mark.parametrize("encoder", ["kernels", "conv"])
def test_white_noise_cannot_be_predicted(encoder):
    """No target shares input with its context, so that there is nothing to copy."""
    noise, new = RNG.normal(size=(2, 64, 128, 2))
    fitted = cpc(encoder=encoder, latent_size=32, context_size=32, max_epochs=15).fit(
        noise
    )
    assert fitted.score(new) < 0.1
    assert fitted.contrastive_accuracy(new).max() < 0.02  # 0.004 by chance


def speakers(n_speakers, n_clips, seed):
    """Slow or fast gestures over the tone of a speaker, one or the other in each clip.

    The tone tells the speakers apart in any step; the gesture takes several.
    """
    rng = np.random.default_rng(seed)
    tones = rng.uniform(0.5, 1.5, n_speakers)
    clips, who = [], []
    for speaker, tone in enumerate(tones):
        for _ in range(n_clips):
            gesture, time = rng.integers(2), np.arange(96)
            phase = rng.uniform(0, 6.28, 2)
            move = np.sin((0.12, 0.3)[gesture] * time + phase[0])
            sound = np.sin(tone * time + phase[1])
            clips.append(0.5 * move + sound + 0.3 * rng.normal(size=96))
            who.append(speaker)
    return np.array(clips), np.array(who)


def test_negatives_of_the_group_leave_out_who_it_is():
    """The contrast within a speaker is no easier for a model that knows the tone."""
    clips, who = speakers(8, 12, seed=0)
    within, anywhere = (
        cpc(latent_size=32, context_size=32, negatives=negatives, max_epochs=40).fit(
            clips, groups=who
        )
        for negatives in ("auto", "batch")
    )
    chance = within.net_.history[-1]["train_chance"]
    assert chance == pytest.approx(anywhere.net_.history[-1]["train_chance"], abs=0.5)
    assert within.loss_curve_[-1] > anywhere.loss_curve_[-1] + 0.3
