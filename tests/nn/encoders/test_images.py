import pytest
import torch

from sklearn_cpc.nn import ConvPatchEncoder, GridEncoder
from sklearn_cpc.nn.initialization import build


def encoder(n_channels=2, latent_size=16, patch_size=8):
    make = lambda: ConvPatchEncoder(n_channels, latent_size, patch_size)  # noqa: E731
    return build(make, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("patch_size", [1, 2, 3, 4, 7, 8, 15, 16, 33, 64])
def test_any_patch_becomes_one_latent(patch_size):
    net = encoder(patch_size=patch_size)
    x = torch.randn(3, 2, patch_size, patch_size)
    latents = net(x)
    assert latents.shape == (3, 16)
    layers = net.layers(x)
    assert [h.ndim for h in layers] == [2] * len(net.convolutions)
    torch.testing.assert_close(layers[-1], latents)


def test_where_something_is_in_a_patch_matters():
    net = encoder()
    x = torch.zeros(2, 2, 8, 8)
    x[0, :, :4], x[1, :, 4:] = 1.0, 1.0
    top, bottom = net(x)
    assert not torch.allclose(top, bottom, atol=0.05)


def test_a_grid_is_its_patches_one_by_one():
    net = encoder()
    grid = GridEncoder(net, n_overlapping=2, latent_size=16)
    x = torch.randn(2, 3, 4, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    z = grid(x)
    assert z.shape == (2, 3, 4, 16)
    for index in [(0, 0, 0), (1, 2, 3), (0, 1, 2)]:
        torch.testing.assert_close(z[index], net(x[index][None])[0])
    layers = grid.layers(x)
    assert [h.shape[:3] for h in layers] == [(2, 3, 4)] * len(layers)
    assert (grid.receptive_field, grid.skip_steps, grid.downsampling) == (2, 1, 1)


def test_encoders_without_layers_have_their_latents():
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 5))
    layers = GridEncoder(flat, 1, 5).layers(torch.zeros(2, 3, 3, 2, 4, 4))
    assert [h.shape for h in layers] == [(2, 3, 3, 5)]
