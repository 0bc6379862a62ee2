import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_cpc import CPCTransformer
from sklearn_cpc._data.images import Grid, Patches
from sklearn_cpc._data.scaled import ScaledSequences
from sklearn_cpc._data.scaling import NoScaling
from sklearn_cpc._data.sequences import Sequences
from sklearn_cpc.nn import CPC, GridCPC, GridEncoder
from sklearn_cpc.nn.initialization import initialize
from sklearn_cpc.training import scores as module
from sklearn_cpc.training.inference import Inference
from sklearn_cpc.training.scores import (
    contrastive_accuracy,
    reference_latents,
    score_samples,
)

LENGTHS = np.array([12, 5, 30, 2, 9])
INFERENCE = Inference("cpu", None, batch_steps=40)


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(n, 2)) for n in LENGTHS]
    return ScaledSequences.of(Sequences(arrays, LENGTHS, "list"), NoScaling())


@pytest.fixture
def model():
    sizes = {"latent_size": 6, "context_size": 5, "prediction_steps": 3}
    model = CPC.build(n_channels=2, n_timesteps=30, **sizes)
    initialize(model, torch.Generator().manual_seed(0))
    return model.eval()


def test_references_are_latents_of_valid_steps(source, model):
    references = reference_latents(model, source, INFERENCE, size=10)
    expected = torch.cat(
        [
            F.normalize(
                model.encoder(torch.tensor(x[None, :10], dtype=torch.float32)), dim=-1
            )[0]
            for x in source.sequences.arrays
        ]
    )
    assert references.shape == (10 + 5 + 10 + 2 + 9, 6)
    distance = torch.cdist(references, expected.detach()).min(1).values
    assert distance.max() < 1e-3


def test_at_most_256_references():
    lengths = np.full(80, 40)
    arrays = np.random.default_rng(0).normal(size=(80, 40, 2))
    source = ScaledSequences.of(Sequences(arrays, lengths, "array"), NoScaling())
    model = CPC.build(n_channels=2, n_timesteps=40, latent_size=4)
    assert reference_latents(model, source, INFERENCE, size=40).shape == (256, 4)


@pytest.mark.parametrize("skip_steps", [0, 2])
@pytest.mark.parametrize("n_anchors", [3, 1024])
def test_scores_equal_a_loop_over_the_definition(
    monkeypatch, source, model, skip_steps, n_anchors
):
    monkeypatch.setattr(module, "SCORE_ANCHORS", n_anchors)
    references = reference_latents(model, source, INFERENCE, size=4)
    options = {"skip_steps": skip_steps, "temperature": 0.2}
    scores = score_samples(model, source, references, INFERENCE, **options)
    for row, x in enumerate(source.sequences.arrays):
        with torch.no_grad():
            (output,) = model(torch.tensor(x[None], dtype=torch.float32))
            z, predictions = output.z, output.predictions
        z, predictions = (
            F.normalize(z[0], dim=-1),
            F.normalize(predictions[0], dim=-1),
        )
        losses = []
        for t in range(len(x)):
            for k in range(3):
                target = t + k + 1 + skip_steps
                if target >= len(x):
                    continue
                positive = (predictions[t, k] @ z[target] / 0.2).double().exp()
                negatives = [
                    (predictions[t, k] @ r / 0.2).double().exp()
                    for r in references
                    if r @ z[target] < 1 - 1e-6
                ]
                total = positive + 1023 * sum(negatives) / len(negatives)
                losses.append(float(total.log() - positive.log()))
        if losses:
            expected = math.log(1024) - np.mean(losses)
            assert scores[row] == pytest.approx(expected, abs=1e-4)
        else:
            assert np.isnan(scores[row])


def test_score_where_nothing_differs_from_the_positive_is_guessing(model):
    arrays = np.zeros((3, 20, 2))
    source = ScaledSequences.of(Sequences(arrays, np.full(3, 20), "array"), NoScaling())
    plain = torch.nn.Linear(2, 6)  # without memory: all latents are equal
    model = CPC(plain, model.context, model.predictor)
    references = reference_latents(model, source, INFERENCE, size=20)
    options = {"skip_steps": 0, "temperature": 0.1}
    scores = score_samples(model, source, references, INFERENCE, **options)
    np.testing.assert_allclose(scores, 0, atol=1e-5)


@pytest.mark.parametrize("n_anchors", [3, 1024])
def test_accuracies_equal_a_loop_over_the_definition(
    monkeypatch, source, model, n_anchors
):
    monkeypatch.setattr(module, "SCORE_ANCHORS", n_anchors)
    references = reference_latents(model, source, INFERENCE, size=4)
    right = [[] for _ in range(3)]
    for x in source.sequences.arrays:
        with torch.no_grad():
            (output,) = model(torch.tensor(x[None], dtype=torch.float32))
            z, predictions = output.z, output.predictions
        z, p = F.normalize(z[0], dim=-1), F.normalize(predictions[0], dim=-1)
        for t in range(len(x)):
            for k in range(3):
                if t + k + 2 < len(x):
                    target = z[t + k + 2]
                    others = references[references @ target < 1 - 1e-6]
                    best = (others @ p[t, k]).max()
                    right[k].append(bool(p[t, k] @ target > best))
    accuracy = contrastive_accuracy(model, source, references, INFERENCE, skip_steps=1)
    np.testing.assert_allclose(accuracy, [np.mean(r) for r in right])
    assert 0 < accuracy.mean() < 1


def test_accuracy_of_steps_beyond_all_sequences_is_unknown(source, model):
    references = reference_latents(model, source, INFERENCE, size=4)
    accuracy = contrastive_accuracy(model, source, references, INFERENCE, skip_steps=27)
    np.testing.assert_array_equal(np.isnan(accuracy), [False, False, True])


def test_scores_of_images_are_means_over_all_directions():
    images = np.random.default_rng(0).normal(size=(3, 12, 15, 1))
    grid = Grid.of(12, 15, 3, 3)
    source = Patches.of(images, NoScaling(), grid)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 6))
    model = GridCPC.build(
        encoder=GridEncoder(encoder, 1, 6),
        latent_size=6,
        context_size=5,
        prediction_steps=2,
        directions=4,
        generator=torch.Generator().manual_seed(0),
    ).eval()
    references = reference_latents(model, source, INFERENCE, size=4)
    assert references.shape == (3 * 4 * 5, 6)
    arguments = (model, source, references, INFERENCE)
    scores = score_samples(*arguments, skip_steps=1, temperature=0.2)
    accuracy = contrastive_accuracy(*arguments, skip_steps=1)
    right = [[], []]
    for row in range(3):
        x = torch.from_numpy(source.batch(np.array([row]))[0])
        losses = []
        for output in model(x):
            z, p = (
                F.normalize(values, dim=-1).detach()
                for values in (output.z, output.predictions)
            )
            for column, t, k in np.ndindex(*p.shape[:3]):
                if t + k + 2 >= z.shape[1]:
                    continue
                target = z[column, t + k + 2]
                others = references[references @ target < 1 - 1e-6]
                score = p[column, t, k].detach() @ target
                negatives = others @ p[column, t, k].detach()
                right[k].append(bool(score > negatives.max()))
                mean = (negatives / 0.2).double().exp().mean()
                losses.append(float((1 + 1023 * mean / (score / 0.2).exp()).log()))
        assert scores[row] == pytest.approx(math.log(1024) - np.mean(losses), abs=1e-4)
    np.testing.assert_allclose(accuracy, [np.mean(r) for r in right])


@pytest.mark.parametrize("n_near", [1, 256])
def test_scores_do_not_jump_where_a_reference_becomes_the_positive(model, n_near):
    """Rounding, other beside other samples, turns latents by 1e-7."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(258, 6, generator=generator)
    z, side, *_ = F.normalize(draw, dim=-1)
    across = F.normalize(side - (side @ z) * z, dim=0)
    references = F.normalize(draw[2:], dim=-1)
    losses = []
    # `SAME` and `OTHER` are angles of 1.0 and 1.7e-3.
    for angle in np.linspace(0.8e-3, 2e-3, 801):
        references[:n_near] = F.normalize(z + angle * across, dim=0)
        comparer = module._Comparer(model, references, 0)
        found = comparer._cosines((z + 0.1 * side)[None, None], z[None, None])
        comparison = module.Comparison(torch.zeros(1), *found)
        losses.append(module.mean_loss(iter([comparison]), 0.1))
    # Neighbours differ by fifteen times the rounding.
    assert np.abs(np.diff(losses)).max() < 5e-3
    assert np.ptp(losses) > (0.05 if n_near == 1 else 0)


def test_a_score_does_not_depend_on_batch_mates():
    """Also where neighbouring latents are nearly the same."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 200, 2)).cumsum(1).cumsum(1)
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 2}
    fitted = CPCTransformer(random_state=0, **options).fit(X)
    together = fitted.score_samples(X), fitted.transform(X)
    for rows in (slice(0, 1), slice(3, 5), slice(7, 30)):
        np.testing.assert_allclose(
            fitted.score_samples(X[rows]), together[0][rows], atol=2e-5
        )
        np.testing.assert_allclose(
            fitted.transform(X[rows]), together[1][rows], rtol=1e-4, atol=1e-5
        )
