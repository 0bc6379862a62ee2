"""The estimator for images."""

import copy
from numbers import Integral
from typing import Any, ClassVar

import torch

from ._base import BaseCPC, Words, check_channels, is_count, is_counts, names
from ._compat import Interval, Options, StrOptions
from ._data.images import Grid, Patches, pixels, read_images
from ._data.plausibility import warn_if_other_scale
from ._data.scaling import SCALINGS, Scaling
from ._data.source import Source
from .nn.checks import check_patch_encoder
from .nn.encoders import PATCH_ENCODERS, ConvPatchEncoder, Encoder, GridEncoder
from .nn.features import PooledFeatures, PooledGridFeatures
from .nn.grid import GridCPC
from .nn.initialization import build
from .nn.model import Model
from .training.architecture import Architecture, AutoDefaults, StepWords
from .training.augmentations import AUGMENTATIONS, compose
from .training.batches import Augmentation
from .training.calibration import calibrate


class CPCImageTransformer(BaseCPC):
    r"""Features of images, learned without labels by predicting one part from another.

    An image is cut into a grid of overlapping patches, and each patch is encoded by
    itself into a latent. A context network summarises the rows above a patch. From each
    context, the model predicts the latents of the rows below in the same column: it
    learns to distinguish them from latents of other places and other images. With four
    `directions` it also predicts upwards and from either side. `transform` pools the
    activations of the trained model into one vector for each image, for any classifier
    or regressor of scikit-learn.

    Parameters
    ----------
    patch_size : int or "auto", default="auto"
        Side of a patch, in pixels. "auto" is a quarter of the shorter side of the
        images, an even number of at least 4.
    patch_stride : int or "auto", default="auto"
        Pixels from a patch to the next one. "auto" is half of the patch, which makes
        grids of about 7 x 7 patches. In small images it is less, for at least 5 x 5.
    directions : {1, 4}, default=4
        1 predicts downwards, 4 from all four sides, each with its own context.
    augmentation : str, tuple of str or None, default="crop"
        Random variation in training, never in `transform`: one or several of "crop",
        which shifts each patch by up to an eighth of its side; "flip", which mirrors
        half of the images left and right; and "grey", which takes the colours from a
        quarter of the patches.
    encoder : {"dictionary", "conv"} or torch.nn.Module, default="dictionary"
        From patches to latents. "dictionary" compares windows of up to 6 x 6 pixels
        with 256 whitened windows, which k-means learns from the images and training
        does not change; one learned layer follows. "conv" starts at random and halves a
        patch by convolutions until one latent is left. A module must map (n, channels,
        patch_size, patch_size) to (n, D) without batch normalisation; see
        `sklearn_cpc.nn.PatchEncoder`. `fit` uses a copy of it.
    context : str or torch.nn.Module, default="gru"
        From latents to contexts, row by row, with the names of `CPCTransformer`. In
        each row, neighbours are mixed first. A module must map (B, rows, D) to (B,
        rows, H) and look at earlier rows only. `fit` uses copies of it.
    latent_size : int, default=128
        Size of the latents.
    context_size : int, default=64
        Size of the contexts of each direction.
    skip_steps : int or "auto", default="auto"
        Rows between the context and the first one to predict. "auto" skips rows with
        overlapping patches, which would be easy, if enough rows are left.
    features : {"auto", "context", "latent", "both", "all"}, default="auto"
        Activations to return. "both" is latents and contexts; "all" adds every layer of
        the encoder, averaged over a patch; "auto" is the fixed layer of the encoder
        "dictionary" and the contexts, and "all" with other encoders.
    n_regions : int, default=2
        Regions along each side of an image that are pooled separately, so that the
        position of a feature counts. Fewer if there are fewer patches. 1 pools over the
        whole image.
    scaling : {"channel", "sample"} or None, default="channel"
        How pixels are standardised: by mean and standard deviation of each channel over
        the training set, of each channel of each image, or not at all.

    Attributes
    ----------
    image_shape_ : tuple of int
        Height, width and channels of the images.
    grid_shape_ : tuple of int
        Rows and columns of patches.
    patch_size_ : int
        Side of a patch, in pixels.
    patch_stride_ : int
        Pixels from a patch to the next one.
    n_features_in_ : int
        Number of columns of a frame, 1, else of channels.
    feature_names_in_ : ndarray of shape (1,)
        Name of the column of a frame.
    n_channels_in_ : int
        Number of channels: 1 where the images have no axis for them.
    downsampling_ : int
        1: a step of prediction is a row of patches.
    receptive_field_ : int
        Rows of patches that share pixels with a row, itself included.

    See Also
    --------
    CPCTransformer : The same for sequences.
    sklearn_cpc.nn.GridCPC : The model, for your own training loop.

    Notes
    -----
    `X` is an array (n_samples, height, width) or (n_samples, height, width,
    n_channels), of integers or floats, a list of images of one size, or a series or
    frame with a column of them. A memory map is never copied as a whole.

    Each patch is encoded by itself and normalised over channels, never over positions
    or images. So the features of an image do not depend on the others in `X`.

    References
    ----------
    A. van den Oord, Y. Li, O. Vinyals (2018), Representation Learning with
    Contrastive Predictive Coding, arXiv:1807.03748, section 3.3.

    O. Henaff et al. (2020), Data-Efficient Image Recognition with Contrastive
    Predictive Coding, arXiv:1905.09272.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_cpc import CPCImageTransformer
    >>> digits = load_digits()
    >>> X, X_test, y, y_test = train_test_split(
    ...     digits.images, digits.target, random_state=0
    ... )
    >>> cpc = CPCImageTransformer(latent_size=32, max_epochs=1, random_state=0)
    >>> pipe = make_pipeline(cpc, StandardScaler(), LogisticRegression(max_iter=1000))
    >>> pipe.fit(X, y).score(X_test, y_test) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCPC._parameter_constraints,
        "patch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "patch_stride": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "directions": [Options(Integral, {1, 4})],
        "augmentation": [StrOptions(set(AUGMENTATIONS)), tuple, list, None],
        "encoder": [StrOptions(set(PATCH_ENCODERS)), torch.nn.Module],
        "n_regions": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions(set(SCALINGS) - {None}), None],
    }
    _fitted_types: ClassVar[dict[str, Any]] = {
        **BaseCPC._fitted_types,
        "image_shape_": tuple,
        "grid_shape_": tuple,
        "patch_size_": int,
        "patch_stride_": int,
        "_scaling": tuple(SCALINGS.values()),
    }
    _architecture_parameters = (
        "encoder",
        "patch_size",
        "patch_stride",
        "directions",
        *BaseCPC._architecture_parameters,
    )
    _kept_parameters = ("scaling",)
    _auto_defaults = AutoDefaults(
        updates=300,
        updates_within=300,
        epochs=1,
        steps_per_update=1,  # a row of patches
        prediction_steps=8,
    )
    _words = Words(sample="image", targets="rows")
    _scaling: Scaling
    image_shape_: tuple[int, ...]
    grid_shape_: tuple[int, int]
    patch_size_: int
    patch_stride_: int

    def __init__(
        self,
        *,
        patch_size="auto",
        patch_stride="auto",
        directions=4,
        augmentation="crop",
        encoder="dictionary",
        context="gru",
        latent_size=128,
        context_size=64,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="auto",
        n_anchors="auto",
        temperature=0.1,
        features="auto",
        pooling=("mean", "max"),
        n_regions=2,
        scaling="channel",
        max_epochs="auto",
        batch_size=32,
        lr=2e-3,
        weight_decay=0.01,
        validation_fraction=0.1,
        early_stopping=False,
        n_iter_no_change=10,
        callbacks=None,
        accelerator=None,
        device="auto",
        precision="float32",
        n_jobs=None,
        warm_start=False,
        start=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            context=context,
            latent_size=latent_size,
            context_size=context_size,
            prediction_steps=prediction_steps,
            skip_steps=skip_steps,
            n_negatives=n_negatives,
            negatives=negatives,
            n_anchors=n_anchors,
            temperature=temperature,
            features=features,
            pooling=pooling,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            n_iter_no_change=n_iter_no_change,
            callbacks=callbacks,
            accelerator=accelerator,
            device=device,
            precision=precision,
            n_jobs=n_jobs,
            warm_start=warm_start,
            start=start,
            random_state=random_state,
            verbose=verbose,
        )
        self.patch_size = patch_size
        self.patch_stride = patch_stride
        self.directions = directions
        self.augmentation = augmentation
        self.encoder = encoder
        self.n_regions = n_regions
        self.scaling = scaling

    def _read(self, X: Any, *, reset: bool, update: bool = False) -> Patches:
        images = read_images(self, X, reset=reset)
        if not reset:
            warn_if_other_scale(pixels(images), self._scaling)
        if reset:
            height, width, _ = self.image_shape_
            grid = Grid.of(height, width, self.patch_size, self.patch_stride)
            self.grid_shape_ = grid.n_rows, grid.n_columns
            self.patch_size_, self.patch_stride_ = grid.patch_size, grid.stride
        if reset or update:
            scaling = (
                SCALINGS[self.scaling]() if reset else copy.deepcopy(self._scaling)
            )
            scaling.partial_fit(pixels(images))
            self._scaling = scaling
        return Patches.of(images, self._scaling, self._grid())

    def _grid(self) -> Grid:
        """Return how the fitted estimator cuts images."""
        height, width, _ = self.image_shape_
        return Grid.of(height, width, self.patch_size_, self.patch_stride_)

    def _build_encoder(self, source: Source, generator: torch.Generator) -> Encoder:
        side, n_channels = self.patch_size_, self.n_channels_in_
        if isinstance(self.encoder, torch.nn.Module):
            encoder = copy.deepcopy(self.encoder).cpu()
            latent_size = check_patch_encoder(encoder, (n_channels, side, side))
        else:
            make, latent_size = PATCH_ENCODERS[self.encoder], self.latent_size
            encoder = build(make, generator, (n_channels, latent_size, side))
        grid = GridEncoder(encoder, self._grid().n_overlapping, latent_size)
        calibrate(grid, source, n_channels, generator)
        return grid

    def _build_model(
        self,
        encoder: Encoder,
        context: str | torch.nn.Module,
        architecture: Architecture,
        generator: torch.Generator,
    ) -> Model:
        return GridCPC.build(
            encoder=encoder,
            context=context,
            latent_size=architecture.latent_size,
            context_size=architecture.context_size,
            prediction_steps=architecture.prediction_steps,
            directions=self.directions,
            generator=generator,
        )

    def _augmentation(self) -> Augmentation | None:
        if self.augmentation is None:
            return None
        return compose(names("augmentation", self.augmentation, AUGMENTATIONS))

    def _pooled_features(self) -> PooledFeatures:
        return PooledGridFeatures(
            self.net_.module_, self.features, self._statistics(), self.n_regions
        )

    def _smallest_input(self) -> tuple[int, ...]:
        side = self.patch_size_
        return *self.grid_shape_, self.n_channels_in_, side, side

    def _single_step(self) -> tuple[int, ...]:
        side = self.patch_size_
        return 1, 1, self.n_channels_in_, side, side

    def _check_restored(self, attributes: dict[str, Any], model: Model) -> None:
        n_channels, side = attributes["n_channels_in_"], attributes["patch_size_"]
        shape, stride = attributes["image_shape_"], attributes["patch_stride_"]
        if not is_counts(shape, 3) or not is_count(side) or not is_count(stride):
            raise ValueError("the sizes of images are no numbers of pixels")
        grid = Grid.of(shape[0], shape[1], side, stride)
        if (
            attributes["grid_shape_"] != (grid.n_rows, grid.n_columns)
            or not isinstance(model.encoder, GridEncoder)
            or model.encoder.n_overlapping != grid.n_overlapping
            or not shape[2] == n_channels == attributes.get("n_features_in_")
        ):
            raise ValueError("the sizes of images do not suit the grid of patches")
        encoder = model.encoder.encoder
        check_channels(encoder, n_channels, attributes["_scaling"].n_channels)
        if isinstance(encoder, ConvPatchEncoder) and encoder.patch_size != side:
            raise ValueError("the sizes of patches do not suit the encoder")

    def _step_words(self) -> StepWords:
        return StepWords(
            "rows of patches", "larger images, or a smaller patch_size or patch_stride"
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags
