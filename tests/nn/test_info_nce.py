import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_cpc.nn import SharedNegatives, info_nce


def draw(n_anchors, n_negatives, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, size, generator=generator)
        for n in (n_anchors, n_anchors, n_negatives)
    )


def naive_loop(p, positives, negatives, temperature, normalize, column, used):
    losses = []
    for m in range(len(p)):
        vectors = [p[m], positives[m], *negatives]
        if normalize:
            vectors = [v / v.norm() for v in vectors]
        anchor, positive, *others = vectors
        scores = [anchor @ positive / temperature]
        for j, other in enumerate(others):
            if j != column[m] and (used[j]):
                scores.append(anchor @ other / temperature)
        losses.append(-torch.log_softmax(torch.stack(scores), 0)[0])
    return torch.stack(losses)


@settings(deadline=None, max_examples=40)
@given(
    n_anchors=st.integers(1, 5),
    n_negatives=st.integers(1, 6),
    temperature=st.floats(0.05, 2.0),
    normalize=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_a_naive_loop(n_anchors, n_negatives, temperature, normalize, seed):
    p, z, negatives = draw(n_anchors, n_negatives, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    column = torch.randint(n_negatives, (n_anchors,), generator=generator)
    used = torch.rand(n_negatives, generator=generator) < 0.7
    loss = info_nce(
        p,
        z,
        SharedNegatives(negatives, column, used),
        temperature=temperature,
        normalize=normalize,
        reduction="none",
    )
    expected = naive_loop(p, z, negatives, temperature, normalize, column, used)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_closed_form():
    # Scores 2 for the positive and -2, 0 for the negatives.
    loss = info_nce(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[3.0, 0.0]]),
        torch.tensor([[-5.0, 0.0], [0.0, 2.0]]),
        temperature=0.5,
    )
    expected = math.log(math.exp(2) + math.exp(-2) + 1) - 2
    assert float(loss) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_negatives", [1, 7, 1023])
def test_uniform_scores_give_log_n(n_negatives):
    p, z, negatives = torch.zeros(3, 8), torch.zeros(3, 8), torch.zeros(n_negatives, 8)
    loss = info_nce(p, z, negatives, normalize=False)
    assert float(loss) == pytest.approx(math.log(n_negatives + 1), abs=1e-5)


def test_softmax_runs_over_the_candidates_of_one_prediction():
    # Every prediction finds its own candidate best, but candidate 0 suits the
    # other prediction even better: a softmax over predictions would be large.
    predictions = torch.tensor([[10.0, 0.0], [100.0, 200.0]])
    positives = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = info_nce(
        predictions,
        positives,
        SharedNegatives(positives, torch.tensor([0, 1])),
        normalize=False,
        temperature=1.0,
        reduction="none",
    )
    assert float(loss.max()) < 1e-4


def test_the_positive_is_the_latent_not_the_prediction_itself():
    p, _, negatives = draw(4, 6, 5)
    opposite = info_nce(p, -p, negatives)
    same = info_nce(p, p, negatives)
    assert float(opposite) > float(same) + 1


def test_masked_predictions_do_not_count():
    p, z, negatives = draw(4, 6, 5)
    mask = torch.tensor([True, False, True, False])
    each = info_nce(p, z, negatives, reduction="none")
    z[1] = torch.nan
    loss = info_nce(p, z, negatives, mask=mask, reduction="none")
    torch.testing.assert_close(loss, torch.where(mask, each, 0.0))
    mean = info_nce(p, z, negatives, mask=mask)
    torch.testing.assert_close(mean, each[mask].mean())


def test_mean_over_no_prediction_is_zero():
    p, z, negatives = draw(2, 3, 4)
    assert float(info_nce(p, z, negatives, mask=torch.zeros(2, dtype=torch.bool))) == 0


def test_leading_dimensions_are_independent_groups():
    p, z, negatives = (torch.stack(h.chunk(2)) for h in draw(6, 8, 4))
    both = info_nce(p, z, negatives, reduction="none")
    for g in range(2):
        one = info_nce(p[g], z[g], negatives[g], reduction="none")
        torch.testing.assert_close(both[g], one)


def test_sum_is_the_sum():
    p, z, negatives = draw(4, 6, 5)
    each = info_nce(p, z, negatives, reduction="none")
    torch.testing.assert_close(info_nce(p, z, negatives, reduction="sum"), each.sum())


def test_lower_precision_is_lifted_to_float32():
    p, z, negatives = (h.bfloat16() for h in draw(4, 6, 5))
    loss = info_nce(p, z, negatives)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, info_nce(p.float(), z.float(), negatives.float()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"reduction": "max"}, "must be 'mean', 'sum' or 'none', got 'max'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        info_nce(*draw(2, 3, 4), **options)
