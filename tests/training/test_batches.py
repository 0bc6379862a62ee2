import numpy as np
import pytest

from sklearn_cpc._data.scaled import ScaledSequences
from sklearn_cpc._data.scaling import NoScaling
from sklearn_cpc._data.sequences import Sequences
from sklearn_cpc.nn.distributed import Ranks
from sklearn_cpc.training.batches import RandomCrops, even_batches
from sklearn_cpc.training.groups import TrainingData


def source(lengths):
    """Every value tells its sequence and its step."""
    arrays = [1000.0 * (i + 1) + np.arange(n)[:, None] for i, n in enumerate(lengths)]
    return ScaledSequences.of(Sequences(arrays, np.array(lengths), "list"), NoScaling())


def crops(
    lengths, batch_size=4, crop_length=10, seed=0, groups=None, gather=None, **options
):
    return RandomCrops(
        TrainingData(source(lengths), groups, gather),
        batch_size=batch_size,
        crop_length=crop_length,
        rng=np.random.default_rng(seed),
        **options,
    )


def windows(batches):
    """Return (sequence, first step, length) of every window of an epoch."""
    found = []
    for batch in batches:
        for x, length in zip(batch.x.numpy(), batch.lengths.numpy(), strict=True):
            row, start = divmod(int(x[0, 0]), 1000)
            steps = 1000 * row + start + np.arange(length)
            np.testing.assert_array_equal(x[:length, 0], steps)
            assert not x[length:].any()
            found.append((row - 1, start, int(length)))
    return found


def test_an_epoch_has_every_short_sequence_once_and_whole():
    lengths = [3, 10, 7, 1, 5]
    assert sorted(windows(crops(lengths))) == [(i, 0, n) for i, n in enumerate(lengths)]


def test_long_sequences_give_the_windows_that_fit_side_by_side():
    found = windows(crops([35, 10, 21, 19]))
    assert [sum(row == i for row, *_ in found) for i in range(4)] == [3, 1, 2, 1]
    assert {length for *_, length in found} == {10}


@pytest.mark.parametrize("seed", range(20))
def test_windows_of_a_sequence_do_not_overlap(seed):
    steps = [
        (row, step)
        for row, start, length in windows(crops([47, 20, 8], seed=seed))
        for step in range(start, start + length)
    ]
    assert len(set(steps)) == len(steps) == 40 + 20 + 8


def test_windows_are_anywhere_in_the_sequence():
    batches = crops([13])
    starts = {start for _ in range(50) for _, start, _ in windows(batches)}
    assert starts == {0, 1, 2, 3}
    batches = crops([23])
    starts = {start for _ in range(90) for _, start, _ in windows(batches)}
    assert starts == {0, 1, 2, 3, 10, 11, 12, 13}


@pytest.mark.parametrize("n_samples", [1, 4, 5, 9, 12])
def test_batches_of_an_epoch_have_almost_equal_sizes(n_samples):
    batches = crops([6] * n_samples)
    sizes = [len(batch.sequences) for batch in batches]
    assert len(batches) == len(sizes) == -(-n_samples // 4)
    assert max(sizes) <= 4
    assert max(sizes) - min(sizes) <= 1


def steps_of_batches(batches):
    """Return the steps of each batch of an epoch, padding included."""
    return [batch.x.shape[0] * batch.x.shape[1] for batch in batches]


def test_a_batch_has_windows_of_similar_lengths():
    lengths = np.random.default_rng(0).geometric(0.02, 500).clip(max=300)
    batches = crops(lengths, batch_size=32, crop_length=400)
    sizes = batches.sizes
    for _ in range(3):
        epoch = list(batches)
        assert [len(batch.lengths) for batch in epoch] == sizes
        steps = steps_of_batches(epoch)
        assert sum(steps) < 1.5 * lengths.sum()  # 4 times as many, at random
        # Neither from short to long nor always the same ones together.
        assert (np.diff(steps) > 0).any()
        assert (np.diff(steps) < 0).any()
    together = {frozenset(batch.sequences.tolist()) for batch in epoch}
    again = {frozenset(batch.sequences.tolist()) for batch in batches}
    assert not together & again


def test_windows_too_short_to_predict_in_are_spread_over_all_batches():
    lengths = np.random.default_rng(0).permutation([2] * 160 + [60] * 80 + [90] * 80)
    batches = crops(lengths, batch_size=32, crop_length=100, predictable=5)
    assert lengths.max() > 2 * lengths.mean()
    for batch in batches:
        assert 6 <= (batch.lengths == 2).sum() <= 26
        assert 6 <= (batch.lengths > 2).sum() <= 26
    # Of nothing else there are batches all the same.
    assert len(list(crops([1, 2, 3] * 9, batch_size=5, predictable=5))) == 6


@pytest.mark.parametrize("lengths", [[6] * 9, [10, 25, 31, 12, 47], [5, 9, 7, 10, 6]])
def test_windows_of_about_equal_lengths_are_in_any_order(lengths):
    expected = np.random.default_rng(3)
    batches = crops(lengths, seed=3)
    expected.integers(batches.spare[batches.rows] + 1)
    order = expected.permutation(len(batches.rows))
    found = np.concatenate([batch.sequences for batch in batches])
    np.testing.assert_array_equal(found, batches.rows[order])


def test_epochs_differ_and_the_generator_decides():
    one, other = crops([6] * 9), crops([6] * 9)
    first = windows(one)
    assert first == windows(other)
    assert first != windows(one)


def test_sequence_and_group_go_with_every_window():
    groups = np.array([0, 7, 4])
    batches = crops([25, 10, 3], batch_size=2, groups=groups)
    for batch in batches:
        rows = (batch.x[:, 0, 0] // 1000 - 1).long()
        np.testing.assert_array_equal(batch.sequences, rows)
        np.testing.assert_array_equal(batch.groups, groups[rows])
        assert batch.origin == (batch.sequences, batch.groups)


def test_parts_of_a_batch_are_its_windows_in_their_order():
    (batch,) = crops([25, 10, 3], batch_size=9, groups=np.array([0, 7, 4]))
    first, second = batch.split(2)
    assert (len(first.x), len(second.x)) == (2, 2)
    for whole, *parts in zip(batch, first, second, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("n_ranks", [2, 3])
def test_processes_share_the_windows_of_every_batch(n_ranks):
    lengths = [25, 10, 3, 8, 40, 1, 6, 12, 9]
    whole = list(crops(lengths, batch_size=7))
    shares = [
        list(crops(lengths, batch_size=7, ranks=Ranks(rank, n_ranks)))
        for rank in range(n_ranks)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        for i, tensor in enumerate(batch):
            joined = np.concatenate([part[i] for part in parts])
            np.testing.assert_array_equal(joined, tensor)
        sizes = [len(part.x) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_even_batches_are_sorted_and_complete():
    lengths = np.array([5, 1, 9, 3, 3, 8, 2])
    parts = list(even_batches(lengths, max_rows=3, max_steps=100))
    assert [len(part) for part in parts] == [2, 2, 3]
    order = np.concatenate(parts)
    assert sorted(order) == list(range(7))
    assert (np.diff(lengths[order]) >= 0).all()


@pytest.mark.parametrize("n", [1, 15, 64, 65, 130, 1000])
def test_even_batches_of_equal_sequences_have_almost_equal_sizes(n):
    sizes = [len(part) for part in even_batches(np.full(n, 10), 64, 10_000)]
    assert sum(sizes) == n
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 1


def test_a_long_sequence_makes_no_other_batch_small():
    lengths = np.append(np.full(1000, 10), 100_000)
    parts = list(even_batches(lengths, 64, 1000))
    padded = sum(len(part) * lengths[part].max() for part in parts)
    assert padded < 1.01 * lengths.sum()
    assert len(parts) < 40


def test_only_single_sequences_have_more_steps_than_asked_for():
    lengths = np.random.default_rng(0).integers(1, 500, 300)
    for part in even_batches(lengths, 20, 600):
        assert len(part) <= 20
        assert len(part) == 1 or len(part) * lengths[part].max() <= 600


@pytest.mark.parametrize("gather", ["groups", "sequences"])
@pytest.mark.parametrize("uneven", [False, True])
def test_batches_gather_windows_of_a_few_groups_or_sequences(gather, uneven):
    lengths = ([10, 100] if uneven else [40, 40]) * 32
    groups = np.arange(64) % 4
    batches = crops(lengths, batch_size=16, groups=groups, gather=gather)
    mixed = crops(lengths, batch_size=16, groups=groups)
    labels = {"groups": 4, "sequences": 64}[gather]
    n_labels, n_mixed = (
        np.mean([len(getattr(batch, gather).unique()) for batch in of])
        for of in (batches, mixed)
    )
    # Runs of half a batch, or whole sequences; a border may cut one.
    longest = 10 if uneven else 4
    n_runs = 3 if gather == "groups" else 16 / longest + 8 * uneven
    assert n_labels <= n_runs < n_mixed <= labels
    assert [len(batch.x) for batch in batches] == batches.sizes


def test_gathered_epochs_have_every_window_once_in_another_order():
    batches = crops([10] * 50, groups=np.arange(50) % 3, gather="groups")
    first, second = windows(batches), windows(batches)
    assert first != second
    assert sorted(first) == sorted(second) == [(i, 0, 10) for i in range(50)]


def test_gathered_batches_meet_other_groups_in_every_epoch():
    groups = np.arange(64) // 8
    batches = crops([10] * 64, batch_size=16, groups=groups, gather="groups")
    pairs = {
        tuple(sorted(batch.groups.unique().tolist()))
        for _ in range(10)
        for batch in batches
    }
    assert len(pairs) > 15
