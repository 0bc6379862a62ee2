import pytest
import torch

from sklearn_cpc.nn import (
    CPC,
    CausalConv,
    ConvEncoder,
    ConvStack,
    CPCLoss,
    LinearPredictor,
)
from sklearn_cpc.nn.initialization import build, initialize


def model(**options):
    options = {"n_channels": 2, "n_timesteps": 300, "latent_size": 8} | options
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CPC.build(**options)


def test_shapes_and_lengths_of_the_output():
    cpc = model(context_size=6, prediction_steps=3)
    assert cpc.downsampling == 4
    (output,) = cpc(torch.zeros(2, 10, 2), torch.tensor([10, 4]))
    assert output.z.shape == (2, 3, 8)
    assert output.c.shape == (2, 3, 6)
    assert output.predictions.shape == (2, 3, 3, 8)
    assert output.lengths.tolist() == [3, 1]


def test_without_lengths_all_steps_are_valid():
    (output,) = model()(torch.zeros(2, 9, 2))
    assert output.lengths.tolist() == [3, 3]


@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
@pytest.mark.parametrize("encoder", ["kernels", "conv", "audio"])
def test_no_prediction_depends_on_later_input(encoder, context):
    cpc = model(encoder=encoder, context=context)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 8 * cpc.downsampling, 2, generator=generator, requires_grad=True)
    (output,) = cpc(x)
    output.predictions[0, 5].sum().backward()
    seen = x.grad[0].any(-1).nonzero()[:, 0]
    assert seen.max() == 5 * cpc.downsampling


def test_every_step_ahead_has_its_own_matrix():
    predictor = LinearPredictor(4, 3, 2)
    c = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))
    predictions = predictor(c)
    for k, weight in enumerate(predictor.linear.weight.view(2, 3, 4)):
        torch.testing.assert_close(predictions[:, :, k], c @ weight.T)


def test_only_the_generator_decides_the_weights():
    def weights():
        encoder = build(ConvEncoder, generator := torch.Generator(), (2, 8, 300))
        generator.manual_seed(1)
        sizes = {"latent_size": 8, "context_size": 5, "prediction_steps": 3}
        return CPC.from_encoder(
            encoder, "gru", generator=generator, **sizes
        ).state_dict()

    before = torch.get_rng_state()
    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_modules_are_used_as_they_are():
    own, plain = ConvStack([CausalConv(2, 8, [4], stride=2)]), torch.nn.Linear(2, 8)
    cpc = model(encoder=own)
    assert cpc.encoder is own
    assert (cpc.downsampling, cpc.receptive_field) == (2, 4)
    cpc = model(encoder=plain)
    assert cpc.encoder.module is plain
    assert (cpc.downsampling, cpc.receptive_field) == (1, None)


def test_a_plain_encoder_must_not_downsample():
    class Every(torch.nn.Module):
        downsampling = 2

        def forward(self, x):
            return x[:, ::2].repeat(1, 1, 4)

    with pytest.raises(ValueError, match="Every gives 5 latents for 9 steps"):
        model(encoder=Every())(torch.zeros(2, 9, 2))


def test_torchs_generator_draws_the_weights():
    first, second = model().state_dict(), model().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_own_training_loop_learns_to_continue_a_wave():
    generator = torch.Generator().manual_seed(0)
    cpc = model(n_timesteps=40, latent_size=16, context_size=16)
    criterion = CPCLoss(generator=generator)
    optimizer = torch.optim.Adam(cpc.parameters(), lr=3e-3)
    time = torch.arange(40.0)[None, :, None]
    losses = []
    for _ in range(60):
        phase = 6.28 * torch.rand(16, 1, 2, generator=generator)
        output = criterion(*cpc(torch.sin(0.3 * time + phase)))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert losses[0] == pytest.approx(output.chance, abs=1.5)
    assert losses[-1] < losses[0] - 1


def test_initialisation_has_torchs_distribution():
    layer = torch.nn.Linear(400, 300)
    initialize(layer, torch.Generator().manual_seed(0))
    assert layer.weight.abs().max() <= 1 / 20
    assert layer.weight.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.02)


def test_unknown_layers_are_refused():
    with pytest.raises(TypeError, match="does not know Bilinear"):
        initialize(torch.nn.Bilinear(2, 2, 2), None)
