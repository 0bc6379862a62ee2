import numpy as np
import pytest

from sklearn_cpc._data.scaled import LIMIT, ScaledSequences
from sklearn_cpc._data.scaling import SCALINGS, Moments
from sklearn_cpc._data.sequences import Sequences

RNG = np.random.default_rng(0)
SHIFT, SPREAD = np.array([1e4, -3.0]), np.array([10.0, 0.5])
ARRAYS = [SHIFT + SPREAD * RNG.normal(size=(n, 2)) for n in (50, 20, 35)]
LENGTHS = np.array([50, 20, 35])
SEQUENCES = Sequences(ARRAYS, LENGTHS, "list")
ROWS = np.arange(3)


def scaled(name, sequences=SEQUENCES, fitted_on=None):
    scaling = SCALINGS[name]()
    scaling.partial_fit(fitted_on or sequences)
    return ScaledSequences.of(sequences, scaling)


def test_channel_scaling_takes_off_the_moments_of_all_steps():
    values, lengths = scaled("channel").batch(ROWS)
    steps = np.concatenate(ARRAYS)
    for row, array in enumerate(ARRAYS):
        expected = (array - steps.mean(0)) / steps.std(0)
        np.testing.assert_allclose(
            values[row, : lengths[row]], expected, rtol=1e-4, atol=1e-5
        )
        assert not values[row, lengths[row] :].any()
    assert values.dtype == np.float32


def test_channel_scaling_is_that_of_the_training_set():
    new = Sequences([ARRAYS[0] + 100], LENGTHS[:1], "list")
    one = scaled("channel").batch(ROWS[:1])[0]
    other = scaled("channel", new, fitted_on=SEQUENCES).batch(ROWS[:1])[0]
    np.testing.assert_allclose(
        other - one,
        np.broadcast_to(100 / np.concatenate(ARRAYS).std(0), (1, 50, 2)),
        rtol=1e-3,
    )


def test_channel_scaling_adds_up_over_parts():
    scaling = SCALINGS["channel"]()
    for row in ROWS:
        scaling.partial_fit(SEQUENCES.take([row]))
    parts = ScaledSequences.of(SEQUENCES, scaling).batch(ROWS)[0]
    np.testing.assert_allclose(parts, scaled("channel").batch(ROWS)[0], atol=1e-6)


def test_sample_scaling_takes_off_each_samples_own_moments():
    values, lengths = scaled("sample").batch(ROWS)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(values[row, :length].mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(values[row, :length].std(0), 1, atol=1e-5)


def test_sample_scaling_uses_the_whole_sequence_for_a_window():
    whole = scaled("sample").batch(ROWS[:1])[0]
    window = scaled("sample").batch(ROWS[:1], np.array([7]), 5)[0]
    np.testing.assert_array_equal(window, whole[:, 7:12])


def test_no_scaling_leaves_values():
    values, lengths = scaled(None).batch(ROWS)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(values[row, :length], np.float32(ARRAYS[row]))


@pytest.mark.parametrize("name", ["channel", "sample"])
def test_constant_channels_become_zero(name):
    arrays = [np.full((20, 1), 0.1), np.full((9, 1), 0.1)]
    constant = Sequences(arrays, np.array([20, 9]), "list")
    values, _ = scaled(name, constant).batch(np.arange(2))
    np.testing.assert_allclose(values, 0, atol=1e-6)


@pytest.mark.parametrize("name", SCALINGS)
def test_missing_values_become_zero_and_do_not_count(name):
    with_missing = [array.copy() for array in ARRAYS]
    with_missing[0][3, 0] = np.nan
    with_missing[1][:, 1] = np.nan
    sequences = Sequences(with_missing, LENGTHS, "list")
    values, _ = scaled(name, sequences).batch(ROWS)
    assert np.isfinite(values).all()
    assert values[0, 3, 0] == 0
    assert not values[1, :, 1].any()
    if name == "sample":
        others = np.delete(values[0, :50, 0], 3)
        np.testing.assert_allclose([others.mean(), others.std()], [0, 1], atol=1e-4)


@pytest.mark.parametrize("name", ["channel", "sample"])
def test_a_channel_that_was_never_observed_is_zero(name):
    arrays = [array.copy() for array in ARRAYS]
    for array in arrays:
        array[:, 1] = np.nan
    values, _ = scaled(name, Sequences(arrays, LENGTHS, "list")).batch(ROWS)
    assert not values[:, :, 1].any()
    assert values[:, :, 0].any()


def test_a_channel_may_be_observed_for_the_first_time_in_a_later_part():
    first = [array.copy() for array in ARRAYS]
    for array in first:
        array[:, 1] = np.nan
    scaling = SCALINGS["channel"]()
    scaling.partial_fit(Sequences(first, LENGTHS, "list"))
    scaling.partial_fit(SEQUENCES)
    values = ScaledSequences.of(SEQUENCES, scaling).batch(ROWS)[0]
    np.testing.assert_allclose(values, scaled("channel").batch(ROWS)[0], atol=1e-5)


def test_values_far_outside_are_cut_off():
    far = Sequences([np.array([[1e30, 0.0], [-1e30, 0.0]])], np.array([2]), "list")
    values, _ = scaled("channel", far, fitted_on=SEQUENCES).batch(ROWS[:1])
    assert values[0, :, 0].tolist() == [LIMIT, -LIMIT]


def test_a_batch_without_a_value_of_a_channel_changes_nothing_of_it():
    scaling = SCALINGS["channel"]()
    scaling.partial_fit(SEQUENCES)
    mean, deviation = (part[0, 0] for part in scaling.statistics(SEQUENCES))
    missing = [array + np.array([7.0, np.nan]) for array in ARRAYS]
    scaling.partial_fit(Sequences(missing, LENGTHS, "list"))
    new_mean, new_deviation = (part[0, 0] for part in scaling.statistics(SEQUENCES))
    assert (new_mean[1], new_deviation[1]) == (mean[1], deviation[1])
    assert new_mean[0] == pytest.approx(mean[0] + 3.5)


@pytest.mark.parametrize("name", ["channel", "sample"])
@pytest.mark.parametrize("ratio", [1e3, 1e9, 1e12])
@pytest.mark.parametrize("signal", [0.01, 1e6])
def test_large_offsets_cost_no_precision(name, ratio, signal):
    """As long as float64 resolves the signal, however many steps there are."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 100_000, 2))
    noise = (noise - noise.mean((0, 1))) / noise.std((0, 1))
    far = signal * noise + signal * ratio
    known = far - signal * ratio  # what is left of the signal
    sequences, plain = (
        Sequences(array, np.full(3, 100_000), "array") for array in (far, known)
    )
    values = scaled(name, sequences).batch(ROWS)[0]
    expected = scaled(name, plain).batch(ROWS)[0]
    np.testing.assert_allclose(values, expected, atol=2e-3 * ratio / 1e12 + 1e-6)
    assert values.std() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("name", ["channel", "sample"])
def test_rounding_is_no_signal(name):
    """A channel that is constant but for the last place is not blown up."""
    last_place = np.spacing(0.3) * np.random.default_rng(0).integers(-2, 3, (3, 50, 1))
    for values in (0.3 + last_place, np.full((3, 50, 1), 1e30)):
        sequences = Sequences(values, np.full(3, 50), "array")
        assert np.abs(scaled(name, sequences).batch(ROWS)[0]).max() < 1e-15


def test_moments_of_parts_and_of_missing_values():
    rng = np.random.default_rng(0)
    steps = 1e9 + rng.normal(size=(1000, 3))
    steps[rng.random(steps.shape) < 0.3] = np.nan
    steps[:400, 1] = np.nan  # a channel that comes late
    moments = Moments(3)
    for part in np.array_split(steps, 7):
        moments.add(part)
    moments.add(np.full((5, 3), np.nan))
    np.testing.assert_allclose(moments.mean, np.nanmean(steps, 0), rtol=1e-15)
    expected = np.nanstd(steps - 1e9, 0)
    np.testing.assert_allclose(moments.scale, expected, rtol=1e-6)
    assert moments.n_seen.tolist() == (~np.isnan(steps)).sum(0).tolist()
    nothing = Moments(2)
    nothing.add(np.full((5, 2), np.nan))
    assert nothing.mean.tolist() == [0, 0]
    assert nothing.scale.tolist() == [1, 1]
