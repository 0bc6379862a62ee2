import math

import pytest
import torch

from sklearn_cpc.nn import CPCLoss
from sklearn_cpc.nn.loss import LossOutput, mean_output, positive_positions
from sklearn_cpc.nn.model import CPCOutput
from sklearn_cpc.nn.negatives import NEGATIVES, Origin, sample_anchors
from sklearn_cpc.nn.predictors import Predictor

LENGTHS = torch.tensor([6, 4, 1, 3])
GROUPS = torch.tensor([0, 0, 1, 1])
ORIGIN = Origin(torch.arange(4), GROUPS)
N_STEPS, N_AHEAD, SIZE = 6, 3, 5


def outputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(4, N_STEPS, SIZE, generator=generator)
    predictions = torch.randn(4, N_STEPS, N_AHEAD, SIZE, generator=generator)
    return z, predictions, LENGTHS


class Given(Predictor):
    """The contexts are the predictions of all steps ahead, side by side."""

    prediction_steps = N_AHEAD

    def forward(self, c):
        return c.unflatten(-1, (N_AHEAD, -1))


def given(z, predictions, lengths):
    return CPCOutput(z, predictions.flatten(2), Given(), lengths)


def is_negative(strategy, sample, other, step, other_step):
    if (sample, step) == (other, other_step):
        return False
    same_sequence, same_group = sample == other, GROUPS[sample] == GROUPS[other]
    return bool(
        {
            "batch": True,
            "other_sequences": not same_sequence,
            "same_sequence": same_sequence,
            "same_group": same_group,
            "same_group_other_sequences": same_group and not same_sequence,
        }[strategy]
    )


def naive(z, predictions, strategy, skip_steps, temperature):
    """Loop over anchors, steps ahead and all candidates."""
    losses, hits = [], []
    for b in range(len(z)):
        for t in range(LENGTHS[b]):
            for k in range(N_AHEAD):
                target = t + k + 1 + skip_steps
                if target >= LENGTHS[b]:
                    continue
                p = predictions[b, t, k] / predictions[b, t, k].norm() / temperature
                positive = p @ (z[b, target] / z[b, target].norm())
                negatives = [
                    p @ (z[o, s] / z[o, s].norm())
                    for o in range(len(z))
                    for s in range(LENGTHS[o])
                    if is_negative(strategy, b, o, target, s)
                ]
                if not negatives:
                    continue
                scores = torch.stack([positive, *negatives])
                losses.append(scores.logsumexp(0) - positive)
                hits.append(float(scores.argmax() == 0))
    return sum(losses) / len(losses), sum(hits) / len(hits)


@pytest.mark.parametrize("strategy", NEGATIVES)
@pytest.mark.parametrize("skip_steps", [0, 2])
def test_equals_a_naive_loop_over_all_pairs(strategy, skip_steps):
    z, predictions, lengths = outputs()
    loss = CPCLoss(
        n_negatives="all", negatives=strategy, skip_steps=skip_steps, temperature=0.3
    )
    output = loss(given(z, predictions, lengths), origin=ORIGIN)
    expected, accuracy = naive(z, predictions, strategy, skip_steps, 0.3)
    torch.testing.assert_close(output.loss, expected)
    weights = output.n_pairs / output.n_pairs.sum()
    assert float((output.accuracy.nan_to_num() * weights).sum()) == pytest.approx(
        accuracy
    )


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_padding_changes_nothing(strategy):
    def value(z, predictions):
        loss = CPCLoss(negatives=strategy, generator=torch.Generator().manual_seed(1))
        return loss(given(z, predictions, LENGTHS), origin=ORIGIN).loss

    z, predictions, _ = outputs()
    before = value(z, predictions)
    padding = torch.arange(N_STEPS) >= LENGTHS[:, None]
    z, predictions = z.clone(), predictions.clone()
    z[padding], predictions[padding] = 1e3, -1e3
    assert value(z, predictions) == before


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_more_padding_than_steps_changes_nothing(strategy):
    def output(z, predictions):
        loss = CPCLoss(n_negatives="all", negatives=strategy)
        lengths = torch.full((4,), N_STEPS)
        return loss(given(z, predictions, lengths), origin=ORIGIN)

    z, predictions, _ = outputs()
    before = output(z, predictions)
    more = torch.ones(4, 2 * N_STEPS, N_AHEAD, SIZE)
    after = output(
        torch.cat([z, more[:, :, 0]], dim=1), torch.cat([predictions, more], dim=1)
    )
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_gets_no_gradient():
    z, predictions, lengths = outputs()
    z.requires_grad_()
    predictions.requires_grad_()
    CPCLoss()(given(z, predictions, lengths)).loss.backward()
    padding = torch.arange(N_STEPS) >= LENGTHS[:, None]
    assert not z.grad[padding].any()
    assert not predictions.grad[padding].any()
    assert z.grad[~padding].any(-1).all()


def test_equal_latents_give_log_of_the_number_of_candidates():
    z, predictions, lengths = outputs()
    output = CPCLoss(n_negatives=9)(given(torch.ones_like(z), predictions, lengths))
    assert float(output.loss) == pytest.approx(math.log(10), abs=1e-5)
    assert output.chance == pytest.approx(math.log(10))


def test_perfect_predictions_have_full_accuracy():
    z, predictions, lengths = outputs()
    for k in range(N_AHEAD):
        predictions[:, : N_STEPS - k - 1, k] = z[:, k + 1 :]
    output = CPCLoss(n_negatives="all", temperature=0.01)(
        given(z, predictions, lengths)
    )
    assert output.accuracy.tolist() == [1.0, 1.0, 1.0]
    assert float(output.loss) < 0.1
    assert output.n_pairs.tolist() == [10, 7, 4]


def test_batch_without_any_pair_is_zero_and_trains_nothing():
    z, predictions, _ = outputs()
    predictions.requires_grad_()
    lengths = torch.ones(4, dtype=torch.int64)
    output = CPCLoss()(given(z, predictions, lengths))
    output.loss.backward()
    assert output.loss.item() == 0
    assert not predictions.grad.any()


def test_bfloat16_model_has_a_float32_loss():
    z, predictions, lengths = outputs()
    output = given(z.bfloat16(), predictions.bfloat16(), lengths)
    loss = CPCLoss(n_negatives="all")(output)
    assert loss.loss.dtype == torch.float32


def test_positive_positions():
    anchor = torch.tensor([0, 1, 3])
    position, valid = positive_positions(anchor, torch.tensor([3, 2]), 3, 2, 0)
    assert position[0].tolist() == [1, 2]
    assert position[2].tolist() == [4, 5]
    assert valid.tolist() == [[True, True], [True, False], [True, False]]


def test_anchors_have_a_target_and_all_the_same_chance():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 0, 2, 7, 12])
    possible = sample_anchors(lengths, 12, skip_steps=1)
    expected = [i * 12 + t for i, n in enumerate(lengths) for t in range(n - 2)]
    assert possible.tolist() == expected
    counts = torch.zeros(60)
    for _ in range(3000):
        drawn = sample_anchors(
            lengths, 12, skip_steps=1, n_anchors=7, generator=generator
        )
        assert len(set(drawn.tolist())) == 7
        assert {0, 3, 4} <= set((drawn // 12).tolist())  # their shares are 2 or more
        counts[drawn] += 1
    assert counts.sum() == counts[possible].sum()
    share = counts[possible] / 3000
    torch.testing.assert_close(
        share, torch.full_like(share, 7 / len(possible)), atol=0.04, rtol=0
    )


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_loss_of_some_anchors_is_unbiased(strategy):
    z, predictions, _ = outputs()
    lengths = torch.full((4,), N_STEPS)

    def mean_loss(n_anchors, n_times):
        loss = CPCLoss(
            n_negatives="all",
            negatives=strategy,
            n_anchors=n_anchors,
            generator=torch.Generator().manual_seed(0),
        )
        output = given(z, predictions, lengths)
        outputs = [loss(output, origin=ORIGIN) for _ in range(n_times)]
        totals = [o.loss * o.n_pairs.sum() for o in outputs]
        return sum(totals) / sum(o.n_pairs.sum() for o in outputs), outputs[0]

    every, whole = mean_loss(None, 1)  # nothing is drawn
    some, part = mean_loss(8, 300)
    torch.testing.assert_close(every, some, rtol=0.02, atol=0)
    assert part.n_pairs.sum() < whole.n_pairs.sum()


@pytest.mark.parametrize("strategy", NEGATIVES)
def test_shares_of_the_predictions_add_up(strategy):
    """Losses, accuracies and gradients: what processes have of one batch."""

    def part(first, end):
        z, predictions, lengths = outputs()
        z.requires_grad_(), predictions.requires_grad_()
        loss = CPCLoss(
            n_negatives=4,
            negatives=strategy,
            generator=torch.Generator().manual_seed(1),
        )
        share = given(z, predictions[first:end], lengths)
        output = loss(share, origin=ORIGIN, first=first)
        output.loss.backward()
        return (output.loss, output.accuracy, z.grad, predictions.grad), output

    whole, expected = part(0, 4)
    shares = [part(0, 1), part(1, 4)]
    for values in zip(whole, *(values for values, _ in shares), strict=True):
        torch.testing.assert_close(sum(values[1:]), values[0], equal_nan=True)
    for _, output in shares:
        assert output.chance == expected.chance
        assert output.n_pairs.tolist() == expected.n_pairs.tolist()


def test_mean_output_is_over_all_pairs():
    one = LossOutput(
        torch.tensor(2.0), torch.tensor([0.5, 0.25]), torch.tensor([6, 2]), 4.0
    )
    other = LossOutput(
        torch.tensor(1.0), torch.tensor([0.0, torch.nan]), torch.tensor([4, 0]), 3.0
    )
    together = mean_output([one, other])
    assert together.loss == pytest.approx((8 * 2 + 4 * 1) / 12)
    torch.testing.assert_close(together.accuracy, torch.tensor([0.3, 0.25]))
    assert together.n_pairs.tolist() == [10, 2]
    assert together.chance == 3.5
