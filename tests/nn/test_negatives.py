import pytest
import torch
from scipy.stats import chisquare

from sklearn_cpc.nn.negatives import (
    NEGATIVES,
    Origin,
    positive_columns,
    sample_candidates,
)

LENGTHS = torch.tensor([5, 3, 4, 2])
GROUPS = torch.tensor([0, 1, 0, 1])
N_STEPS = 5


def expected_pool(strategy, sample):
    """Return the positions (row, step) a sample may draw, from the definition."""
    rows = {
        "batch": {0, 1, 2, 3},
        "other_sequences": {0, 1, 2, 3} - {sample},
        "same_sequence": {sample},
        "same_group": {s for s in range(4) if GROUPS[s] == GROUPS[sample]},
        "same_group_other_sequences": {
            s for s in range(4) if GROUPS[s] == GROUPS[sample]
        }
        - {sample},
    }[strategy]
    return {row * N_STEPS + step for row in rows for step in range(int(LENGTHS[row]))}


def draw(strategy, n_negatives="all", seed=0):
    return sample_candidates(
        LENGTHS,
        N_STEPS,
        strategy=strategy,
        n_negatives=n_negatives,
        origin=Origin(torch.arange(4), GROUPS),
        generator=torch.Generator().manual_seed(seed),
    )


def drawn(candidates, sample, strategy):
    """Return what a sample has drawn, without masked and spare columns."""
    g = candidates.pool[sample]
    index = candidates.position[g]
    if candidates.mask is not None:
        index = index[candidates.mask[g]]
    elif not NEGATIVES[strategy].may_hold_positive:
        index = index[:-1]
    return index.tolist()


@pytest.mark.parametrize("strategy", NEGATIVES)
@pytest.mark.parametrize("sample", range(4))
def test_all_candidates_are_the_pool(strategy, sample):
    positions = drawn(draw(strategy), sample, strategy)
    assert sorted(positions) == sorted(expected_pool(strategy, sample))


@pytest.mark.parametrize(
    ("strategy", "rows"),
    [
        ("other_sequences", {2, 3}),
        ("same_sequence", {0, 1}),
        ("same_group", {0, 1, 2}),
        ("same_group_other_sequences", {2}),
    ],
)
def test_windows_of_one_sequence_belong_together(strategy, rows):
    candidates = sample_candidates(
        LENGTHS,
        N_STEPS,
        strategy=strategy,
        n_negatives="all",
        origin=Origin(torch.tensor([8, 8, 3, 4]), torch.tensor([0, 0, 0, 1])),
    )
    positions = drawn(candidates, 0, strategy)
    assert {position // N_STEPS for position in positions} == rows
    assert len(positions) == sum(int(LENGTHS[row]) for row in rows)


@pytest.mark.parametrize("strategy", NEGATIVES)
@pytest.mark.parametrize("n_negatives", [1, 2, 3])
def test_every_anchor_has_exactly_the_negatives_asked_for(strategy, n_negatives):
    candidates = draw(strategy, n_negatives, seed=n_negatives)
    n_columns = candidates.position.shape[1]
    for sample in range(4):
        pool = expected_pool(strategy, sample)
        for step in range(int(LENGTHS[sample])):
            positive = sample * N_STEPS + step
            g = candidates.pool[sample]
            column = positive_columns(
                torch.tensor([positive]),
                candidates.pool[[sample]],
                candidates.position,
                len(LENGTHS) * N_STEPS,
            ).item()
            used = torch.ones(n_columns, dtype=torch.bool)
            if candidates.mask is not None:
                used = candidates.mask[g].clone()
            used[column] = False  # the positive's own score stands there
            negatives = candidates.position[g][used].tolist()
            assert positive not in negatives
            assert set(negatives) <= pool
            assert len(set(negatives)) == len(negatives)
            assert len(negatives) == min(n_negatives, len(pool - {positive}))


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_draws_are_uniform(strategy):
    counts = torch.zeros(len(LENGTHS) * N_STEPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(1000):
        candidates = sample_candidates(
            LENGTHS,
            N_STEPS,
            strategy=strategy,
            n_negatives=2,
            origin=Origin(torch.arange(4), GROUPS),
            generator=generator,
        )
        counts[drawn(candidates, 0, strategy)] += 1
    pool = sorted(expected_pool(strategy, 0))
    assert counts.sum() == counts[pool].sum()
    # Draws without replacement vary less than independent ones: the test is safe.
    assert chisquare(counts[pool]).pvalue > 1e-3


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_only_the_generator_decides(strategy):
    before = torch.get_rng_state()
    first, second = draw(strategy, 2, seed=3), draw(strategy, 2, seed=3)
    assert torch.equal(first.position, second.position)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("strategy", "n_pools"),
    [("batch", 1), ("same_group", 2), ("same_sequence", 4), ("other_sequences", 4)],
)
def test_samples_with_the_same_positions_share_a_pool(strategy, n_pools):
    assert len(draw(strategy).position) == n_pools


def test_positive_that_was_not_drawn_goes_to_the_last_column():
    index = torch.tensor([[4, 2, 9], [7, 0, 1]])
    positives, pool = torch.tensor([2, 7, 4, 9, 7]), torch.tensor([0, 0, 0, 0, 1])
    columns = positive_columns(positives, pool, index, 10)
    assert columns.tolist() == [1, 2, 0, 2, 0]
