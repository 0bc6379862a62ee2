"""Images: what is read, how it is cut, and what the features depend on."""

import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sklearn_cpc import CPCImageTransformer, CPCTransformer
from sklearn_cpc._data.images import Grid

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 16, 20, 2))


def cpc(**options):
    """The faster encoder: what is tested here does not depend on it."""
    options = {"latent_size": 4, "context_size": 4, "max_epochs": 1} | options
    return CPCImageTransformer(**{"encoder": "conv", "random_state": 0} | options)


# ---- grids


@pytest.mark.parametrize(
    ("size", "patch_size", "stride", "grid"),
    [
        ((256, 256), 64, 32, (7, 7)),  # the paper's
        ((28, 28), 8, 4, (6, 6)),
        ((32, 64), 8, 4, (7, 15)),
        ((8, 8), 4, 1, (5, 5)),
        ((3, 3), 1, 1, (3, 3)),
    ],
)
def test_auto_aims_at_the_grid_of_the_paper(size, patch_size, stride, grid):
    images = RNG.normal(size=(2, *size))
    estimator = cpc(max_epochs=0).fit(images)
    assert estimator.patch_size_ == patch_size
    assert estimator.patch_stride_ == stride
    assert estimator.grid_shape_ == grid
    assert estimator.image_shape_ == (*size, 1)


def test_patches_are_those_of_a_loop_and_centred():
    grid = Grid.of(17, 23, 6, 4)
    patches = grid.cut(np.arange(2 * 17 * 23 * 3).reshape(2, 17, 23, 3))
    assert (
        patches.shape == (2, grid.n_rows, grid.n_columns, 3, 6, 6) == (2, 3, 5, 3, 6, 6)
    )
    images = np.arange(2 * 17 * 23 * 3).reshape(2, 17, 23, 3)
    for row in range(3):
        for column in range(5):
            top, left = 1 + 4 * row, 0 + 4 * column
            expected = images[:, top : top + 6, left : left + 6]
            np.testing.assert_array_equal(
                patches[:, row, column], expected.transpose(0, 3, 1, 2)
            )


def test_rows_that_share_pixels_are_skipped():
    for stride, skipped in ((8, 0), (4, 1), (3, 2), (2, 3)):
        images = RNG.normal(size=(4, 32, 32))
        estimator = cpc(patch_size=8, patch_stride=stride).fit(images)
        assert estimator.net_.criterion_.skip_steps == skipped
        assert estimator.receptive_field_ == skipped + 1
        n_rows = estimator.grid_shape_[0]
        n_ahead = estimator.net_.module_.prediction_steps
        assert n_ahead == min(8, n_rows - 1 - skipped)


# ---- input


def test_forms_and_types_give_equal_features():
    images = RNG.integers(0, 256, (10, 16, 16), dtype=np.uint8)
    expected = cpc().fit_transform(images)
    for same in (
        images[..., None],
        images.astype(np.float64),
        images.astype(np.float32),
        list(images),
        images.tolist(),
        np.asfortranarray(images),
    ):
        np.testing.assert_array_equal(cpc().fit_transform(same), expected)


def test_scaling_takes_off_the_statistics_of_the_training_pixels():
    images = RNG.integers(0, 256, (10, 16, 16, 2), dtype=np.uint8)
    estimator = cpc().fit(images)
    source = estimator._read_fitted(images)
    patches, _ = source.batch(np.arange(10))
    scaled = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    np.testing.assert_allclose(patches, source.grid.cut(scaled), atol=1e-5)
    brighter = (0.5 * images + 40).astype(np.float64)
    by_image = cpc(scaling="sample").fit(images)
    np.testing.assert_allclose(
        by_image.transform(brighter), by_image.transform(images), atol=1e-4
    )
    raw, _ = cpc(scaling=None).fit(images)._read_fitted(images).batch(np.arange(10))
    np.testing.assert_allclose(raw, source.grid.cut(images), atol=1e-5)


def with_value(value):
    changed = X.copy()
    changed[7, 3, 1, 0] = value
    return changed


BAD_X = {
    "none": (None, TypeError, r"type NoneType\. Pass an array of shape"),
    "text": ("photo.png", TypeError, "type str"),
    "flattened": (
        RNG.normal(size=(5, 784)),
        ValueError,
        r"2D array of shape \(5, 784\).*X\.reshape\(-1, 28, 28\)",
    ),
    "flattened, oblong": (
        RNG.normal(size=(5, 300)),
        ValueError,
        r"X\.reshape\(-1, height, width\)",
    ),
    "1-D": (np.arange(5.0), ValueError, r"X has the shape \(5,\)\. Pass"),
    "5-D": (X[None], ValueError, r"X has the shape \(1, 12, 16, 20, 2\)\. Pass"),
    "channels first": (
        RNG.normal(size=(5, 3, 32, 32)),
        ValueError,
        r"channels seem to come first.*X\.transpose\(0, 2, 3, 1\)",
    ),
    "different sizes": (
        [X[0], X[1], X[2, :9]],
        ValueError,
        r"X\[2\] has the shape \(9, 20, 2\), but X\[0\] has \(16, 20, 2\).*resize",
    ),
    "strings": (np.full((2, 8, 8), "a"), ValueError, "numeric"),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "no samples": (X[:0], ValueError, r"0 sample\(s\)"),
    "no images": ([], ValueError, r"0 sample\(s\)"),
    "no pixels": (X[:, :, :0], ValueError, "images without pixels"),
    "NaN": (with_value(np.nan), ValueError, "contains NaN, first in sample 7"),
    "infinity": (with_value(np.inf), ValueError, "infinity .*, first in sample 7"),
    "too large": (with_value(1e300), ValueError, "too large for dtype.*sample 7"),
    "too small": (
        RNG.normal(size=(5, 1, 20)),
        ValueError,
        r"at least 2 latent steps.*gives 1 \(1 rows of patches.*larger images",
    ),
}


@pytest.mark.parametrize("name", BAD_X)
def test_input_that_is_no_image(name):
    bad, error, message = BAD_X[name]
    with pytest.raises(error, match=message):
        cpc().fit(bad)


def test_images_of_another_size_than_in_fit():
    fitted = cpc().fit(X)
    message = "height x width x channels 16 x 20 x 1, but .* expecting 16 x 20 x 2"
    for method in (fitted.transform, fitted.score, fitted.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X[..., 0])


# ---- parameters

BAD_PARAMETERS = {
    "patch_size": (0, "'patch_size' .* must be .*'auto'"),
    "patch_stride": (1.5, "'patch_stride' .* must be .*'auto'"),
    "directions": (2, r"'directions' .* must be .*\{1, 4\}"),
    "augmentation": ("rotate", "'augmentation' .* must be .*'crop'"),
    "encoder": ("resnet", "'encoder' .* must be .*'conv'"),
    "n_regions": (0, "'n_regions' .* must be an int"),
    "scaling": ("standard", "'scaling' .* must be .*'channel'"),
}


def test_own_parameters_are_checked_and_shared_ones_are_the_base_classs():
    own = set(BAD_PARAMETERS)
    image, sequence = CPCImageTransformer(), CPCTransformer()
    assert own | set(sequence.get_params()) >= set(image.get_params())
    shared = set(CPCTransformer._parameter_constraints) & set(image.get_params()) - own
    for name in shared:
        constraints = [est._parameter_constraints[name] for est in (image, sequence)]
        assert constraints[0] is constraints[1]


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_bad_parameters(name):
    value, message = BAD_PARAMETERS[name]
    with pytest.raises(ValueError, match=message):
        cpc(**{name: value}).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"patch_size": 17},
            "patch_size=17 does not fit into images of 16 x 20 pixels",
        ),
        (
            {"patch_size": 4, "patch_stride": 5},
            "patch_stride=5 is larger than patch_size=4",
        ),
        ({"patch_size": 16}, "gives 1 .1 rows of patches.*smaller patch_size"),
        ({"augmentation": ()}, r"augmentation=\(\) must be one or several"),
        ({"augmentation": ["crop", "blur"]}, "one or several .*'crop', 'flip', 'grey'"),
        ({"prediction_steps": 7}, "prediction_steps=7 .*Use prediction_steps <= 6"),
        ({"encoder": nn.Linear(3, 2)}, "encoder=Linear fails on input of shape"),
        ({"encoder": nn.Conv2d(2, 4, 4)}, r"into a tensor of shape \(2, size\)"),
        (
            {"encoder": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(32))},
            "encoder=Sequential holds a batch normalisation",
        ),
    ],
)
def test_parameters_that_do_not_suit_the_images(options, message):
    fitted = cpc(n_regions=1, max_epochs=0).fit(X)
    before = fitted.transform(X)
    with pytest.raises(ValueError, match=message):
        clone(fitted).set_params(**options).fit(X)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**options).fit(X)
    fitted.set_params(**cpc(n_regions=1).get_params())
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_shape_of_a_fitted_model_stays():
    fitted = cpc(warm_start=True).fit(X)
    for name, value in (("directions", 1), ("patch_size", 8), ("latent_size", 8)):
        with pytest.raises(ValueError, match=f"{name} was changed"):
            clone(fitted).fit(X).set_params(**{name: value}).fit(X)


def test_shared_parameters_have_one_documentation():
    def paragraphs(cls):
        text = cls.__doc__.split("    Parameters\n")[1].split("    Attributes\n")[0]
        return dict(re.findall(r"^    (\w+) : (.*?)(?=^    \w|\Z)", text, re.M | re.S))

    def without_default(paragraph):
        return re.sub(r", default=.*", "", paragraph, count=1)

    image, sequence = paragraphs(CPCImageTransformer), paragraphs(CPCTransformer)
    assert set(image) == set(CPCImageTransformer().get_params())
    for name in (
        "n_negatives",
        "temperature",
        "weight_decay",
        "early_stopping",
        "n_iter_no_change",
        "callbacks",
        "accelerator",
        "device",
        "precision",
        "n_jobs",
        "warm_start",
        "verbose",
    ):
        assert image[name] == sequence[name]
    assert image["max_epochs"] != sequence["max_epochs"]  # what "auto" is differs
    assert without_default(image["lr"]) == without_default(sequence["lr"])


# ---- features


def test_steps_are_the_grid_and_pooling_is_theirs():
    fitted = cpc(features="both", n_regions=1, pooling="mean").fit(X)
    steps = fitted.transform_steps(X)
    assert steps.shape == (12, *fitted.grid_shape_, 4 + 4 * 4)
    np.testing.assert_allclose(fitted.transform(X), steps.mean((1, 2)), atol=1e-6)


def test_regions_are_pooled_by_themselves():
    fitted = cpc(features="latent", n_regions=2, pooling=("max", "mean")).fit(X)
    assert fitted.grid_shape_ == (7, 9)
    steps = fitted.transform_steps(X)
    features = fitted.transform(X)
    expected = [
        pool(steps[:, rows, columns], axis=(1, 2))
        for rows in (slice(0, 4), slice(4, 7))
        for columns in (slice(0, 5), slice(5, 9))
        for pool in (np.max, np.mean)
    ]
    np.testing.assert_allclose(features, np.concatenate(expected, 1), atol=1e-6)
    names = fitted.get_feature_names_out()
    assert names[0] == "latent_max_0_0_0"
    assert names[-1] == "latent_mean_1_1_3"
    every_patch = fitted.set_params(n_regions=100, pooling="mean").transform(X)
    np.testing.assert_array_equal(every_patch, steps.reshape(12, -1))


def test_a_single_column_of_patches_and_patches_of_a_pixel():
    tall = RNG.normal(size=(6, 20, 1))
    fitted = cpc().fit(tall)
    assert (fitted.grid_shape_, fitted.patch_size_) == ((20, 1), 1)
    assert np.isfinite(fitted.transform(tall)).all()
    one_column = cpc(patch_size=4, patch_stride=4).fit(RNG.normal(size=(6, 16, 4)))
    assert one_column.grid_shape_ == (4, 1)


def test_a_latent_sees_its_patch_only():
    fitted = cpc(features="latent", patch_size=4, patch_stride=4).fit(X)
    changed = X.copy()
    changed[:, 4:8, 8:12] += 1.0
    moved = (fitted.transform_steps(changed) != fitted.transform_steps(X)).any((0, 3))
    assert np.argwhere(moved).tolist() == [[1, 2]]


@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
def test_each_context_sees_no_row_ahead_in_its_direction(context):
    options = {"features": "context", "context": context, "context_size": 16}
    fitted = cpc(patch_size=4, patch_stride=4, **options).fit(X)
    changed = X.copy()
    changed[:, 8:12, 8:12] += 1.0  # the patch in row 2 and column 2 of 4 x 5
    difference = fitted.transform_steps(changed) != fitted.transform_steps(X)
    rows, columns = np.indices((4, 5))
    beside_column, beside_row = abs(columns - 2) <= 1, abs(rows - 2) <= 1
    expected = [
        (rows >= 2) & beside_column,  # downwards
        (columns <= 2) & beside_row,  # from the right
        (rows <= 2) & beside_column,  # upwards
        (columns >= 2) & beside_row,  # from the left
    ]
    for direction, seen in enumerate(expected):
        moved = difference[..., 16 * direction : 16 * direction + 16].any((0, 3))
        np.testing.assert_array_equal(moved, seen)


def test_own_modules_are_used_as_copies():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(32, 6))
    context = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    before = {name: w.clone() for name, w in encoder.state_dict().items()}
    fitted = cpc(encoder=encoder, context=context, features="all").fit(X)
    names = fitted.get_feature_names_out()
    assert {name.split("_")[0] for name in names} == {"latent", "context"}
    assert fitted.transform_steps(X).shape[-1] == 6 + 4 * 5
    for name, weight in encoder.state_dict().items():
        assert torch.equal(weight, before[name])


def test_negatives_of_the_same_image_and_of_groups():
    groups = np.arange(12) % 3
    for negatives in ("same_sequence", "other_sequences", "same_group"):
        fitted = cpc(negatives=negatives).fit(X, groups=groups)
        assert np.isfinite(fitted.loss_curve_).all()


def test_augmentation_is_for_training_only():
    plain, varied = (
        cpc(max_epochs=0).fit(X),
        cpc(max_epochs=0, augmentation=None).fit(X),
    )
    np.testing.assert_array_equal(plain.transform(X), varied.transform(X))
    one, other = (
        cpc(augmentation=names).fit_transform(X)
        for names in (None, ("crop", "flip", "grey"))
    )
    assert not np.array_equal(one, other)


@pytest.mark.slow
def test_training_learns_what_all_parts_of_an_image_share():
    rng = np.random.default_rng(2)
    colours = rng.normal(size=(60, 1, 1, 3))
    images = colours + 0.3 * rng.normal(size=(60, 16, 16, 3))
    options = {"latent_size": 16, "context_size": 16, "lr": 3e-3, "n_anchors": "all"}
    options["encoder"] = "conv"  # whitening leaves little of the colours
    untrained = cpc(**options, max_epochs=0).fit(images[:40])
    trained = cpc(**options, max_epochs=40).fit(images[:40])
    assert untrained.score(images[40:]) < 0.1
    assert trained.score(images[40:]) > 0.5
    accuracy = trained.contrastive_accuracy(images[40:])
    assert accuracy.shape == (trained.net_.module_.prediction_steps,)
    assert accuracy.mean() > 0.01  # guessing: 0.004
    stopped = clone(trained).set_params(early_stopping=True, n_iter_no_change=2)
    assert len(stopped.fit(images).validation_scores_) == stopped.n_epochs_


def test_bf16_trains():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = cpc(precision="bf16").fit_transform(X)
    assert np.isfinite(features).all()


# ---- files


OWN_ENCODER = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4 * 4, 6))


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({"encoder": "dictionary"}, {}),
        ({"directions": 1, "context": "attention", "scaling": "sample"}, {}),
        ({"patch_size": 4}, {"encoder": OWN_ENCODER}),
        ({}, {"context": nn.Linear(4, 5)}),
    ],
)
def test_a_file_or_a_pickle_has_the_same_features(tmp_path, options, own):
    fitted = cpc(**options, **own).fit(X)
    fitted.save(tmp_path / "model")
    loaded = CPCImageTransformer.load(tmp_path / "model", **own)
    pickled = pickle.loads(pickle.dumps(fitted))
    for copy in (loaded, pickled):
        np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))
        np.testing.assert_array_equal(
            copy.transform_steps(X), fitted.transform_steps(X)
        )
        assert copy.score(X) == fitted.score(X)
        assert copy.grid_shape_ == fitted.grid_shape_
    for name in own:
        with pytest.raises(ValueError, match=f"saved with your own {name}"):
            CPCImageTransformer.load(tmp_path / "model")
