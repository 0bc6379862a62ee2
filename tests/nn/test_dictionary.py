"""The patch encoder that starts from a dictionary of windows."""

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCImageTransformer
from sklearn_cpc.nn.encoders import DictionaryPatchEncoder
from sklearn_cpc.nn.initialization import build


def patches(n=200, n_channels=1, side=8, seed=0):
    return torch.randn(
        n, n_channels, side, side, generator=torch.Generator().manual_seed(seed)
    )


def encoder(n_channels=1, side=8, latent_size=8):
    generator = torch.Generator().manual_seed(0)
    return build(DictionaryPatchEncoder, generator, (n_channels, latent_size, side))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("side", [2, 4, 6, 7, 8, 13])
def test_shapes(n_channels, side):
    made = encoder(n_channels, side)
    x = patches(5, n_channels, side)
    made.calibrate(x)
    first, latent = made.layers(x)
    assert first.shape == (5, 16)
    assert torch.equal(latent, made(x))
    assert latent.shape == (5, 8)
    assert torch.isfinite(latent).all()


def test_light_does_not_count_and_contrast_hardly():
    made, x = encoder(), patches()
    made.calibrate(x)
    first = made.layers(x)[0]
    torch.testing.assert_close(made.layers(x + 5)[0], first, atol=1e-3, rtol=0)
    torch.testing.assert_close(made.layers(7 * x)[0], first, atol=0.05, rtol=0)
    assert not made.layers(torch.full((1, 1, 8, 8), 3.0))[0].any()


def test_both_signs():
    made, x = encoder(), patches()
    made.calibrate(x)
    one, other = made.layers(x)[0], made.layers(-x)[0]
    torch.testing.assert_close(one, other.roll(8, 1))


def stripes(n=60):
    """Half are horizontal, half vertical, at random places and with noise."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(16) * 2 * np.pi / 5 + rng.uniform(0, 6, (n, 1)))
    images = np.repeat(wave[:, :, None], 16, 2)
    images[::2] = images[::2].swapaxes(1, 2)
    return images + 0.1 * rng.normal(size=images.shape)


def test_atoms_are_what_images_have():
    """Of stripes, each atom varies along one axis more than along the other."""
    x = torch.from_numpy(stripes()).float()[:, None]
    x = x.unfold(2, 8, 4).unfold(3, 8, 4).flatten(0, 3)[:, None]
    made = encoder()

    def orientation():
        atoms = made.dictionary.weight[:, 0]
        along = [atoms.mean(axis).var(1) for axis in (1, 2)]
        one, other = torch.stack(along)
        return (torch.maximum(one, other) / (one + other)).median()

    before = orientation()
    made.calibrate(x)
    assert orientation() > 0.9 > before


def test_training_leaves_the_dictionary(tmp_path):
    X = stripes()
    options = {"encoder": "dictionary", "latent_size": 8, "context_size": 4}
    cpc = CPCImageTransformer(max_epochs=0, warm_start=True, random_state=0, **options)
    atoms = cpc.fit(X).net_.module_.encoder.encoder.dictionary.weight.clone()
    layer = cpc.net_.module_.encoder.encoder.linear.weight.clone()
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
