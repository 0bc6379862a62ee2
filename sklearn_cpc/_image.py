"""The estimator for images."""

import copy
from numbers import Integral
from typing import Any, ClassVar

import torch

from ._base import BaseCPC
from ._compat import Interval, Options, StrOptions
from ._image_inputs import Grid, Patches, pixels, read_images
from ._parameters import names
from ._scaling import SCALINGS
from .nn.checks import patch_latent_size
from .nn.features import PooledFeatures, PooledGridFeatures
from .nn.grid import GridCPC
from .nn.initialization import build
from .nn.patches import PATCH_ENCODERS, GridEncoder
from .training.augmentations import AUGMENTATIONS, compose


class CPCImageTransformer(BaseCPC):
    r"""Features of images, learned without labels by predicting one part from another.

    An image is cut into a grid of overlapping patches, each of which is encoded by
    itself into a latent. A context network summarises the rows above, and from each
    context the latents of the rows below in its column are predicted: the model
    learns to tell them from latents of other places and other images. With four
    `directions` the same is done upwards and from either side. `transform` pools the
    activations of the trained model into one vector for each image, for any classifier
    or regressor of scikit-learn.

    Parameters
    ----------
    patch_size : int or "auto", default="auto"
        Side of a patch, in pixels. "auto" is a quarter of the shorter side of the
        images, an even number of at least 4.
    patch_stride : int or "auto", default="auto"
        Pixels from a patch to the next one. "auto" is half of the patch, which makes
        grids of about 7 x 7 patches, or less in small images, for at least 5 x 5.
    directions : {1, 4}, default=4
        Whether to predict downwards only, or from all four sides, each with a context
        of its own.
    augmentation : str, tuple of str or None, default="crop"
        What varies at random in training, never in `transform`: one or several of
        "crop", each patch is shifted by up to an eighth of its side; "flip", half of
        the images are mirrored left and right, where that changes nothing that
        matters; and "grey", a quarter of the patches lose their colours.
    encoder : {"conv"} or torch.nn.Module, default="conv"
        From patches to latents. "conv" halves a patch by convolutions until one latent
        is left. A module must map (n, channels, patch_size, patch_size) to (n, D)
        without batch normalisation; `fit` works on a copy of it.
    context : {"gru", "lstm", "conv", "attention"} or torch.nn.Module, default="gru"
        From latents to contexts, row by row. In each row, neighbours are mixed first.
        A module must map (B, rows, D) to (B, rows, H) and look at the rows before
        only; `fit` works on copies of it.
    latent_size : int, default=128
        Size of the latents; the layers of the encoder are narrower.
    context_size : int, default=64
        Size of the contexts of each direction.
    prediction_steps : int or "auto", default="auto"
        Number of rows ahead to predict. "auto" is 8, or what fits.
    skip_steps : int or "auto", default="auto"
        Rows between the context and the first one to predict. "auto" skips those
        whose patches overlap, which would be easy, if there are rows enough.
    n_negatives : int or "all", default=128
        Negatives that each positive is compared with; fewer where a batch has
        fewer positions.
    negatives : str, default="batch"
        Where negatives are drawn from, never the positive itself: "batch", any
        other patch of the batch; "other_sequences", patches of other images;
        "same_sequence", of the same image; "same_group", any other patch of images of
        the same group, as passed to `fit`; "same_group_other_sequences".
    temperature : float, default=0.1
        Divides the cosine similarities before the softmax.
    features : {"context", "latent", "both", "all"}, default="all"
        Activations to return. "both" is latents and contexts, "all" adds the means
        over a patch of every layer of the encoder.
    pooling : str or tuple of str, default=("mean", "max")
        How the activations of several patches become one vector: one or several of
        "mean", "max", "min", "std", "ppv", the proportion of positive values,
        and "last".
    n_regions : int, default=2
        Along each side of an image, the regions that are pooled by themselves, so that
        it matters where something is; fewer where there are fewer patches. 1 pools
        over the whole image.
    scaling : {"channel", "sample"} or None, default="channel"
        Which mean and deviation are taken off the pixels: of each channel over the
        training set, of each channel of each image, or none.
    max_epochs : int or "auto", default="auto"
        Passes over the training set. "auto" gives about 300 updates in at most
        100 epochs. 0 gives the untrained model, the control of an experiment.
    batch_size : int, default=32
        Images of one update.
    lr : float, default=5e-4
        Learning rate of AdamW, after a rise over the first 20 updates.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    validation_fraction : float, default=0.1
        Part of the images, or of the groups, to validate on; used with
        `early_stopping` only.
    early_stopping : bool, default=False
        Whether to stop when the score on the validation part no longer rises,
        and return to the best weights.
    n_iter_no_change : int, default=10
        Epochs without a rise before stopping.
    callbacks : list of skorch callbacks or None, default=None
        Run along with the training, such as `sklearn_cpc.Checkpoint`.
    accelerator : accelerate.Accelerator or None, default=None
        Takes over device and precision. With several processes, started by
        ``torchrun`` or ``accelerate launch``, each trains on a part of every batch
        and all end with the same weights, those of one process but for rounding.
        With gradient accumulation a process goes through its part in that many
        steps, each with negatives of its own.
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; or any torch device.
    precision : {"float32", "bf16"}, default="float32"
        Precision of the forward pass; the loss is always computed in float32.
    n_jobs : int or None, default=None
        Threads of torch during training and transforming, restored afterwards;
        -1 is all cores, None leaves torch's own number.
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted model, with its scaling as it was, for
        `max_epochs` more: without `early_stopping`, exactly where a longer fit
        would be. Pickles and files then hold the state of the optimizer, too.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, batches, augmentation, negatives and the validation
        part. With an int, results are equal bit by bit on one device with the
        same number of threads. No global generator is used.
    verbose : int, default=0
        1 shows a bar over epochs with loss and contrastive accuracy.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the `sklearn_cpc.nn.GridCPC` model.
    image_shape_ : tuple of int
        Height, width and channels of the images.
    grid_shape_ : tuple of int
        Rows and columns of patches.
    patch_size_ : int
        Side of a patch, in pixels.
    patch_stride_ : int
        Pixels from a patch to the next one.
    n_features_in_ : int
        Number of channels, the same as `n_channels_in_`.
    n_channels_in_ : int
        Number of channels: 1 where the images have no axis for them.
    n_epochs_ : int
        Number of epochs the model was trained.
    loss_curve_ : list of float
        InfoNCE of each epoch, in nats.
    validation_scores_ : list of float
        Score on the validation part after each epoch, with `early_stopping`.
    downsampling_ : int
        1: a step of prediction is a row of patches.
    receptive_field_ : int
        Rows of patches that share pixels with one of them, itself included.
    device_ : str
        The device of the model.

    See Also
    --------
    CPCTransformer : The same for sequences.
    sklearn_cpc.nn.GridCPC : The model, for an own training loop.

    Notes
    -----
    `X` is an array (n_samples, height, width) or (n_samples, height, width,
    n_channels), of integers or floats, or a list of images of one size. It may be a
    memory map, which is never copied whole.

    Each patch is encoded by itself and normalised over channels, never over positions
    or images: the features of an image do not depend on the others in `X`.

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
    _shaping = (
        "encoder",
        "patch_size",
        "patch_stride",
        "directions",
        *BaseCPC._shaping,
    )
    _automatic: ClassVar[dict[str, int]] = {**BaseCPC._automatic, "updates": 300}
    _scaling: Any
    _step_name = "rows of patches"
    _more_steps = "larger images, or a smaller patch_size or patch_stride"

    def __init__(
        self,
        *,
        patch_size="auto",
        patch_stride="auto",
        directions=4,
        augmentation="crop",
        encoder="conv",
        context="gru",
        latent_size=128,
        context_size=64,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="batch",
        temperature=0.1,
        features="all",
        pooling=("mean", "max"),
        n_regions=2,
        scaling="channel",
        max_epochs="auto",
        batch_size=32,
        lr=5e-4,
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
        random_state=None,
        verbose=0,
    ):
        self.patch_size = patch_size
        self.patch_stride = patch_stride
        self.directions = directions
        self.augmentation = augmentation
        self.encoder = encoder
        self.context = context
        self.latent_size = latent_size
        self.context_size = context_size
        self.prediction_steps = prediction_steps
        self.skip_steps = skip_steps
        self.n_negatives = n_negatives
        self.negatives = negatives
        self.temperature = temperature
        self.features = features
        self.pooling = pooling
        self.n_regions = n_regions
        self.scaling = scaling
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.accelerator = accelerator
        self.device = device
        self.precision = precision
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _read(self, X: Any, reset: bool, update: bool = False) -> Patches:
        """Read images; their grid is set on `reset`, scaling also on `update`."""
        images = read_images(self, X, reset=reset)
        height, width, _ = self.image_shape_
        if reset:
            grid = Grid.of(height, width, self.patch_size, self.patch_stride)
            self.grid_shape_ = grid.n_rows, grid.n_columns
            self.patch_size_, self.patch_stride_ = grid.patch_size, grid.stride
        grid = Grid.of(height, width, self.patch_size_, self.patch_stride_)
        if reset or update:
            scaling = (
                SCALINGS[self.scaling]() if reset else copy.deepcopy(self._scaling)
            )
            scaling.partial_fit(pixels(images))
            self._scaling = scaling
        return Patches.of(images, self._scaling, grid)

    def _build_encoder(
        self, source: Patches, generator: torch.Generator
    ) -> torch.nn.Module:
        """Return a new encoder of patches of this size, or a copy of the user's own."""
        grid = source.grid
        shape = (self.n_channels_in_, grid.patch_size, grid.patch_size)
        if isinstance(self.encoder, torch.nn.Module):
            encoder = copy.deepcopy(self.encoder).cpu()
            latent_size = patch_latent_size(encoder, shape)
        else:
            make, latent_size = PATCH_ENCODERS[self.encoder], self.latent_size
            encoder = build(
                make, generator, (self.n_channels_in_, latent_size, grid.patch_size)
            )
        return GridEncoder(encoder, grid.n_overlapping, latent_size)

    def _assemble(self, **parts: Any) -> GridCPC:
        del parts["n_channels"], parts["n_timesteps"]  # which the encoder settled
        return GridCPC.build(directions=self.directions, **parts)

    def _augment(self) -> Any:
        if self.augmentation is None:
            return None
        return compose(names("augmentation", self.augmentation, AUGMENTATIONS))

    def _pooled_features(self) -> PooledFeatures:
        return PooledGridFeatures(
            self.net_.module_, self.features, self._pooling_names(), self.n_regions
        )

    def _smallest_input(self) -> tuple[int, ...]:
        n_rows, n_columns = self.grid_shape_
        side = self.patch_size_
        return n_rows, n_columns, self.n_channels_in_, side, side

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags
