import numpy as np
import pytest

from sklearn_cpc.training.augmentations import AUGMENTATIONS, compose, crop, flip, grey


@pytest.fixture
def patches():
    return np.random.default_rng(0).normal(size=(6, 3, 4, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_and_type_stay_and_the_input_is_not_changed(patches, name):
    before = patches.copy()
    varied = AUGMENTATIONS[name](patches, np.random.default_rng(1))
    assert (varied.shape, varied.dtype) == (patches.shape, patches.dtype)
    np.testing.assert_array_equal(patches, before)
    assert not np.array_equal(varied, before)
    again = AUGMENTATIONS[name](patches, np.random.default_rng(1))
    np.testing.assert_array_equal(varied, again)


def test_crops_are_shifted_patches_with_a_repeated_border(patches):
    varied = crop(patches, np.random.default_rng(1))
    padded = np.pad(patches, [(0, 0)] * 4 + [(1, 1)] * 2, mode="edge")
    shifted = [padded[..., i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    same = np.array([(varied == s).all((3, 4, 5)) for s in shifted])
    assert (same.sum(0) == 1).all()
    assert same.any((1, 2, 3)).all()  # each of the nine occurs


def test_crops_of_a_single_pixel_stay():
    pixel = np.ones((2, 2, 2, 1, 1, 1), np.float32)
    np.testing.assert_array_equal(crop(pixel, np.random.default_rng(0)), pixel)


def test_flip_mirrors_whole_images(patches):
    image = np.arange(6 * 6).reshape(1, 6, 6).repeat(40, 0)
    cut = np.lib.stride_tricks.sliding_window_view(image, (2, 2), (1, 2))[:, ::2, ::2]
    varied = flip(cut[:, :, :, None], np.random.default_rng(0))[:, :, :, 0]
    joined = varied.swapaxes(2, 3).reshape(40, 6, 6)
    mirrored = (joined == image[:, :, ::-1]).all((1, 2))
    assert ((joined == image).all((1, 2)) ^ mirrored).all()
    assert 5 < mirrored.sum() < 35


def test_grey_patches_have_equal_channels(patches):
    varied = grey(patches, np.random.default_rng(1))
    changed = (varied != patches).any((3, 4, 5))
    assert 0.1 < changed.mean() < 0.4
    mean = patches[changed].mean(1, keepdims=True)
    np.testing.assert_allclose(varied[changed], np.repeat(mean, 3, 1), rtol=1e-6)


def test_several_in_turn(patches):
    one, other = np.random.default_rng(2), np.random.default_rng(2)
    np.testing.assert_array_equal(
        compose(("crop", "grey"))(patches, one), grey(crop(patches, other), other)
    )
