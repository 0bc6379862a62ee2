"""The patch encoder that starts from a dictionary of windows."""

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCImageTransformer
from sklearn_cpc.nn.encoders import DictionaryPatchEncoder, dictionary
from sklearn_cpc.nn.encoders.dictionary import k_means
from sklearn_cpc.nn.initialization import build


def patches(n=200, n_channels=1, side=8, seed=0):
    return torch.randn(
        n, n_channels, side, side, generator=torch.Generator().manual_seed(seed)
    )


def encoder(n_channels=1, side=8, latent_size=8):
    generator = torch.Generator().manual_seed(0)
    return build(DictionaryPatchEncoder, generator, (n_channels, latent_size, side))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("side", [2, 4, 6, 7, 8, 13, 57])
def test_shapes(n_channels, side):
    made = encoder(n_channels, side)
    x = patches(5, n_channels, side)
    made.calibrate(x)
    first, latent = made.layers(x)
    assert first.shape == (5, DictionaryPatchEncoder.n_atoms)
    assert torch.equal(latent, made(x))
    assert latent.shape == (5, 8)
    assert torch.isfinite(latent).all()


def test_light_does_not_count_and_contrast_hardly():
    made, x = encoder(), patches()
    made.calibrate(x)
    first = made.layers(x)[0]
    torch.testing.assert_close(made.layers(x + 5)[0], first, atol=1e-3, rtol=0)
    torch.testing.assert_close(made.layers(7 * x)[0], first, atol=0.05, rtol=0)
    flat = made.layers(
        torch.tensor([0.0, 3.0])[:, None, None, None].expand(-1, 1, 8, 8)
    )
    torch.testing.assert_close(flat[0][0], flat[0][1])


def test_responses_are_those_of_the_definition():
    made, x = encoder(), patches(20)
    made.calibrate(x)
    windows = x.unfold(2, 5, 1).unfold(3, 5, 1).flatten(-2)  # (n, 1, 4, 4, 25)
    windows = windows - windows.mean(-1, keepdim=True)
    windows = windows / (windows.square().mean(-1, keepdim=True) + 0.01).sqrt()
    whitened = windows @ made.whiten.weight.flatten(1).T + made.whiten.bias
    distances = torch.cdist(whitened.flatten(0, -2), made.dictionary.weight)
    expected = (distances.mean(1, keepdim=True) - distances).relu()
    expected = expected.view(20, 16, -1).mean(1)
    torch.testing.assert_close(made.layers(x)[0], expected, atol=1e-3, rtol=0)


def test_parts_that_fit_into_the_cache_give_the_whole(monkeypatch):
    made, x = encoder(), patches(20)
    made.calibrate(x)
    whole = made.layers(x)
    monkeypatch.setattr(dictionary, "IN_CACHE", 3 * 16 * 256)  # three patches
    for part, expected in zip(made.layers(x), whole, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=0)


def test_pixels_have_a_gradient():
    made, x = encoder(), patches(20)
    made.calibrate(x)
    x.requires_grad_()
    made(x).sum().backward()
    assert (x.grad.abs().amax((1, 2, 3)) > 0).all()


def test_large_patches_are_looked_at_in_larger_steps():
    made, x = encoder(side=57), patches(3, side=57)
    assert made.n_windows == 8
    made.calibrate(x)
    changed = x.clone()
    changed[:, :, 6] += 1  # between the first two rows of windows
    assert torch.equal(made.layers(changed)[0], made.layers(x)[0])


def test_windows_are_white():
    made, x = encoder(), patches(400)
    x[:, :, 1:] += x[:, :, :-1].clone()  # neighbours are correlated
    made.calibrate(x)
    windows = x.unfold(2, 5, 1).unfold(3, 5, 1).flatten(-2).flatten(0, -2)
    windows = windows - windows.mean(-1, keepdim=True)
    windows = windows / (windows.square().mean(-1, keepdim=True) + 0.01).sqrt()
    whitened = windows @ made.whiten.weight.flatten(1).T + made.whiten.bias
    values = torch.linalg.eigvalsh(whitened.T.cov())[1:]  # the mean was taken out
    assert values.max() < 1.1
    assert values.min() > 0.5  # of small ones, a part is noise


def test_k_means_finds_clusters():
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(7, 3, generator=generator)
    x = centres.repeat(50, 1) + 0.1 * torch.randn(350, 3, generator=generator)
    found = k_means(x, 7, generator)
    assert torch.cdist(centres, found).min(1).values.max() < 0.1
    few = k_means(x[:3], 5, generator)  # fewer points than clusters
    assert torch.cdist(x[:3], few).min(1).values.max() < 1e-3


def stripes(n=60):
    """Half are horizontal, half vertical, at random places and with noise."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(16) * 2 * np.pi / 5 + rng.uniform(0, 6, (n, 1)))
    images = np.repeat(wave[:, :, None], 16, 2)
    images[::2] = images[::2].swapaxes(1, 2)
    return images + 0.1 * rng.normal(size=images.shape)


def test_training_leaves_the_dictionary(tmp_path):
    X = stripes()
    options = {"encoder": "dictionary", "latent_size": 8, "context_size": 4}
    cpc = CPCImageTransformer(max_epochs=0, warm_start=True, random_state=0, **options)
    atoms = cpc.fit(X).net_.module_.encoder.encoder.dictionary.weight.clone()
    layer = cpc.net_.module_.encoder.encoder.linear.weight.clone()
    # Learned from the images, for random kernels do not sum to zero.
    sums = cpc.net_.module_.encoder.encoder.whiten.weight.sum((1, 2, 3))
    torch.testing.assert_close(sums, torch.zeros_like(sums), atol=1e-4, rtol=0)
    cpc.set_params(max_epochs=2).fit(X)
    trained = cpc.net_.module_.encoder.encoder
    assert torch.equal(trained.dictionary.weight, atoms)
    assert not torch.equal(trained.linear.weight, layer)
    assert {name.split("_")[0] for name in cpc.get_feature_names_out()} == {
        "layer1",
        "context",
    }
    cpc.save(tmp_path / "model")
    loaded = CPCImageTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), cpc.transform(X))
    assert torch.equal(
        loaded.fit(X).net_.module_.encoder.encoder.dictionary.weight, atoms
    )


def test_features_do_not_depend_on_other_images():
    X = stripes()
    cpc = CPCImageTransformer(
        encoder="dictionary",
        latent_size=8,
        context_size=4,
        max_epochs=0,
        random_state=0,
    ).fit(X)
    np.testing.assert_allclose(
        cpc.transform(X[:3]), cpc.transform(X)[:3], rtol=0, atol=1e-5
    )
