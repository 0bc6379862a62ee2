import pytest
import torch

from sklearn_cpc.nn import AudioEncoder, CausalConv, ConvEncoder, ConvStack
from sklearn_cpc.nn.encoders import ENCODERS
from sklearn_cpc.nn.encoders.kernels import LOWEST, KernelBank
from sklearn_cpc.nn.initialization import build
from sklearn_cpc.nn.masks import step_mask

LENGTHS = {"conv": 300, "kernels": 300, "audio": 1000, "log_mel": 1000}


def encoder_of(name, n_channels=2, n_timesteps=None):
    n_timesteps = n_timesteps or LENGTHS[name]
    return build(
        lambda: ENCODERS[name](n_channels, 8, n_timesteps),
        torch.Generator().manual_seed(0),
    )


def signal(n_timesteps, n_samples=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_samples, n_timesteps, 2, generator=generator)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_one_latent_for_every_downsampling_steps_begun(name, extra):
    encoder = encoder_of(name)
    n_timesteps = 3 * encoder.downsampling + extra
    z = encoder(signal(n_timesteps))
    assert z.shape == (1, -(-n_timesteps // encoder.downsampling), 8)


@pytest.mark.parametrize("name", ENCODERS)
def test_latent_sees_exactly_its_receptive_field(name):
    encoder = encoder_of(name)
    # Gradients of a linear path: no unit may be switched off by chance.
    for conv in encoder.convolutions:
        if isinstance(conv, KernelBank):
            continue
        for branch in conv.branches:
            torch.nn.init.ones_(branch.weight)
        conv.norm = torch.nn.Identity()
    field = encoder.receptive_field
    x = signal(field + 5 * encoder.downsampling).abs().requires_grad_()
    z = encoder(x)
    j = z.shape[1] - 1
    z[0, j].sum().backward()
    seen = x.grad[0].any(-1).nonzero()[:, 0]
    aligned = j * encoder.downsampling
    assert seen.max() == aligned
    assert aligned - seen.min() + 1 == field


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_and_later_steps_change_no_latent(name):
    encoder = encoder_of(name)
    n = 4 * encoder.downsampling + 1
    x = signal(3 * n)
    before = encoder(x[:, :n])
    after = encoder(x)[:, : before.shape[1]]
    torch.testing.assert_close(before, after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_layers_end_with_the_latents(name):
    encoder, x = encoder_of(name), signal(LENGTHS[name])
    layers = encoder.layers(x)
    assert torch.equal(layers[-1], encoder(x))
    assert [h.shape[1] for h in layers] == [
        -(-x.shape[1] // downsampling) for downsampling in encoder.layer_downsamplings
    ]


@pytest.mark.parametrize("n_timesteps", [1, 2, 7, 128, 129, 500, 1024, 5000])
def test_strides_follow_the_length(n_timesteps):
    encoder = encoder_of("conv", n_timesteps=n_timesteps)
    assert -(-n_timesteps // encoder.downsampling) <= ConvEncoder.max_latents
    # Half the strides would give too many latents.
    assert (
        encoder.downsampling == 1
        or n_timesteps > ConvEncoder.max_latents * encoder.downsampling // 2
    )
    assert encoder.convolutions[0].receptive_field <= max(4, n_timesteps)


def test_audio_encoder_is_the_papers():
    encoder = encoder_of("audio")
    assert encoder.downsampling == 160
    assert [c.stride for c in encoder.convolutions] == [5, 4, 2, 2, 2]
    assert [c.receptive_field for c in encoder.convolutions] == [10, 8, 4, 4, 4]
    assert encoder.receptive_field == 465  # the paper's 10 + 7*5 + 3*(20 + 40 + 80)
    assert isinstance(encoder, AudioEncoder)


def test_branches_share_the_channels():
    conv = CausalConv(3, 10, [1, 4, 16])
    assert [branch.out_channels for branch in conv.branches] == [4, 3, 3]
    assert conv(torch.zeros(2, 5, 3)).shape == (2, 5, 10)


@pytest.mark.parametrize("latent_size", [1, 2, 3])
def test_fewer_channels_than_kernels(latent_size):
    encoder = build(
        lambda: ConvEncoder(2, latent_size, 100), torch.Generator().manual_seed(0)
    )
    assert encoder(signal(100)).shape == (1, 100, latent_size)


@pytest.mark.parametrize("n_in", [1, 2, 4, 8, 12, 16, 128])
def test_bfloat16_changes_the_precision_only(n_in):
    # A convolution of oneDNN is off by more than 1 for some of these on some CPUs.
    generator = torch.Generator().manual_seed(0)
    conv = build(lambda: CausalConv(n_in, 32, (1, 8, 16, 32)), generator)
    x = torch.randn(4, 150, n_in, generator=generator)
    with torch.no_grad():
        expected = conv(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = conv(x)
    assert (low - expected).abs().max() < 0.1


def test_bfloat16_from_a_wide_layer_to_a_narrow_one():
    generator = torch.Generator().manual_seed(0)
    stack = build(
        lambda: ConvStack([CausalConv(32, 8, [4]), CausalConv(8, 8, [4])]), generator
    )
    x = torch.randn(2, 20, 32, generator=generator)
    with torch.no_grad():
        expected = stack(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = stack(x)
    assert (low - expected).abs().max() < 0.1


def calibrated(x):
    """Return an encoder, its first layer calibrated on whole sequences."""
    encoder = encoder_of("conv", x.shape[2], x.shape[1])
    encoder.calibrate(x, torch.full((len(x),), x.shape[1]))
    return encoder.convolutions[0]


@torch.no_grad()
def test_calibrated_channels_vary_alike_and_open_at_spread_quantiles():
    x = 100 + signal(300, 20).cumsum(1)
    h = calibrated(x)._convolve(x)[0].flatten(0, 1)
    torch.testing.assert_close(h.std(0), torch.ones(8), rtol=0.01, atol=0)
    positive = (h > 0).float().mean(0)
    for low, high in positive.split(2):  # of a kernel size
        assert low > high
    assert abs(positive.max() - (1 - LOWEST)) < 0.01
    assert abs(positive.min() - LOWEST) < 0.01


@torch.no_grad()
def test_calibrated_kernels_see_change_and_not_the_level():
    x = signal(300, 20).cumsum(1)
    conv = calibrated(x)
    field = conv.receptive_field  # before that, a kernel sees the padding
    low, high = (conv._convolve(x + level)[0][:, field:] for level in (0, 100))
    n = conv.branches[0].out_channels  # kernels of one step
    torch.testing.assert_close(low[..., n:], high[..., n:], rtol=0, atol=1e-2)
    assert ((high - low)[..., :n].abs() > 1).all()


@pytest.mark.parametrize("name", ["conv", "kernels"])
@torch.no_grad()
def test_calibration_does_not_see_padding(name):
    x = signal(300, 6)
    lengths = torch.tensor([300, 100, 20, 300, 1, 200])
    x[~step_mask(lengths, 300)] = 0
    longer = torch.cat([x, torch.zeros(6, 200, 2)], dim=1)
    first, second = (encoder_of(name, 2, 300) for _ in range(2))
    first.calibrate(x, lengths)
    second.calibrate(longer, lengths)
    for key, weight in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], weight, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("value", [0.0, 1e6])
def test_calibration_on_constant_sequences(value):
    conv = calibrated(torch.full((3, 50, 2), value))
    assert all(weight.isfinite().all() for weight in conv.state_dict().values())
