import numpy as np
import pytest

from sklearn_cpc._inputs import Sequences
from sklearn_cpc._scaling import NoScaling, ScaledSequences
from sklearn_cpc.training.batches import RandomCrops, even_batches


def source(lengths):
    """Every value tells its sequence and its step."""
    arrays = [1000.0 * (i + 1) + np.arange(n)[:, None] for i, n in enumerate(lengths)]
    return ScaledSequences.of(Sequences(arrays, np.array(lengths), "list"), NoScaling())


def crops(lengths, batch_size=4, crop_length=10, seed=0, **options):
    return RandomCrops(
        source(lengths),
        batch_size=batch_size,
        crop_length=crop_length,
        rng=np.random.default_rng(seed),
        **options,
    )


def windows(batches):
    """Return (sequence, first step, length) of every window of an epoch."""
    found = []
    for inputs, _ in batches:
        for x, length in zip(
            inputs["x"].numpy(), inputs["lengths"].numpy(), strict=True
        ):
            row, start = divmod(int(x[0, 0]), 1000)
            steps = 1000 * row + start + np.arange(length)
            np.testing.assert_array_equal(x[:length, 0], steps)
            assert not x[length:].any()
            found.append((row - 1, start, int(length)))
    return found


def test_an_epoch_has_every_short_sequence_once_and_whole():
    lengths = [3, 10, 7, 1, 5]
    assert sorted(windows(crops(lengths))) == [(i, 0, n) for i, n in enumerate(lengths)]


def test_long_sequences_give_windows_enough_to_cover_them():
    found = windows(crops([35, 10, 21]))
    assert [sum(row == i for row, *_ in found) for i in range(3)] == [4, 1, 3]
    assert {length for *_, length in found} == {10}


def test_windows_are_anywhere_in_the_sequence():
    batches = crops([13])
    starts = {start for _ in range(50) for _, start, _ in windows(batches)}
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("n_samples", [1, 4, 5, 9, 12])
def test_batches_of_an_epoch_have_almost_equal_sizes(n_samples):
    batches = crops([6] * n_samples)
    sizes = [len(groups) for _, groups in batches]
    assert len(batches) == len(sizes) == -(-n_samples // 4)
    assert max(sizes) <= 4
    assert max(sizes) - min(sizes) <= 1


def test_epochs_differ_and_the_generator_decides():
    one, other = crops([6] * 9), crops([6] * 9)
    first = windows(one)
    assert first == windows(other)
    assert first != windows(one)


def test_groups_go_with_their_sequences():
    groups = np.array([0, 7, 4])
    batches = crops([25, 10, 3], batch_size=2, groups=groups)
    for inputs, batch_groups in batches:
        rows = (inputs["x"][:, 0, 0] // 1000 - 1).long()
        np.testing.assert_array_equal(batch_groups, groups[rows])


def test_even_batches_are_sorted_and_complete():
    lengths = np.array([5, 1, 9, 3, 3, 8, 2])
    parts = list(even_batches(lengths, 3))
    assert [len(part) for part in parts] == [3, 2, 2]
    order = np.concatenate(parts)
    assert sorted(order) == list(range(7))
    assert (np.diff(lengths[order]) >= 0).all()
