"""Images, read into checked arrays and cut into grids of patches."""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from .._warnings import InputWarning, warn
from .arrays import as_frame, real_array
from .containers import Samples
from .reading import FLOAT32_MAX
from .scaled import LIMIT
from .scaling import Scaling
from .sequences import CHUNK, Sequences, release

FORMS = (
    "Pass an array of shape (n_samples, height, width) or (n_samples, height, width, "
    "n_channels), or a list of images of one size."
)
# What "auto" aims at. Patches of a quarter of the shorter side with half overlap make
# the paper's grid of 7 x 7. Patches below 4 pixels show too little. Fewer than 5 rows
# leave too little to predict.
PATCHES_PER_SIDE, MIN_PATCH_SIZE, MIN_ROWS = 4, 4, 5


@dataclass(frozen=True)
class Grid:
    """How images are cut into patches.

    Attributes
    ----------
    patch_size : int
        Side of a patch, in pixels.
    stride : int
        Pixels from a patch to the next one.
    n_rows, n_columns : int
        Number of patches below and beside each other.
    top, left : int
        Pixels before the first patch: the grid is centred in the image.
    """

    patch_size: int
    stride: int
    n_rows: int
    n_columns: int
    top: int
    left: int

    @classmethod
    def of(
        cls, height: int, width: int, patch_size: int | str, stride: int | str
    ) -> "Grid":
        """Return the grid for images of a size; a ValueError says why there is none."""
        side = min(height, width)
        wanted = patch_size
        if patch_size == "auto":
            quarter = 2 * math.ceil(side / (2 * PATCHES_PER_SIDE))  # an even number
            patch_size = min(max(quarter, MIN_PATCH_SIZE), max(1, side // 2))
        patch_size = int(patch_size)
        if patch_size > side:
            raise ValueError(
                f"patch_size={wanted!r} does not fit into images of {height} x {width} "
                f"pixels. Use patch_size='auto' or a number up to {side // 2}."
            )
        if stride == "auto":
            largest = (side - patch_size) // (MIN_ROWS - 1)
            stride = max(1, min(patch_size // 2, largest))
        step = int(stride)
        if step > patch_size:
            raise ValueError(
                f"patch_stride={step} is larger than patch_size={patch_size}: pixels "
                "between the patches would be lost. Use 'auto', which is half of "
                "patch_size."
            )
        (n_rows, top), (n_columns, left) = (
            ((n - patch_size) // step + 1, (n - patch_size) % step // 2)
            for n in (height, width)
        )
        return cls(patch_size, step, n_rows, n_columns, top, left)

    @property
    def n_overlapping(self) -> int:
        """Rows that share pixels with a row of patches, itself included."""
        return math.ceil(self.patch_size / self.stride)

    def cut(self, images: np.ndarray) -> np.ndarray:
        """Return a view of all patches: (B, height, width, C) -> (B, R, Q, C, P, P)."""
        windows = np.lib.stride_tricks.sliding_window_view(
            images[:, self.top :, self.left :],
            (self.patch_size, self.patch_size),
            axis=(1, 2),
        )
        return windows[:, :: self.stride, :: self.stride]


@dataclass(frozen=True)
class Patches:
    """A `Source` of the scaled patches of images; a step is a row of patches.

    Attributes
    ----------
    images : ndarray of shape (n, height, width, C)
        The user's own array, of any real dtype.
    mean, scale : ndarray of shape (n, 1, C)
        The pixels of each image minus its mean are divided by its scale.
    grid : Grid
    chosen : ndarray of shape (m,)
        Which of the images belong to the source. Part of a memory map is not copied.
    """

    images: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    grid: Grid
    chosen: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, scaling: Scaling, grid: Grid) -> "Patches":
        """Attach the statistics of a fitted scaling."""
        mean, scale = scaling.statistics(pixels(images))
        return cls(images, mean, scale, grid, np.arange(len(images)))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of patches of each image, ``(n,)``."""
        return np.full(len(self), self.grid.n_rows, dtype=np.int64)

    @property
    def ragged(self) -> bool:
        """False: all images have one size."""
        return False

    def take(self, rows: np.ndarray) -> "Patches":
        """Return some of the images."""
        return replace(self, chosen=self.chosen[rows])

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled patches ``(B, R, Q, C, P, P)``, always of whole images.

        See `Source.batch`.
        """
        chosen = self.chosen[rows]
        values = self.images[chosen].astype(np.float64)
        release([self.images])
        values -= self.mean[chosen][:, None]
        values /= self.scale[chosen][:, None]
        np.clip(values, -LIMIT, LIMIT, out=values)
        return self.grid.cut(values.astype(np.float32)).copy(), self.lengths[rows]


def pixels(images: np.ndarray) -> Sequences:
    """Return each image as a sequence of its pixels, for the scalings."""
    n_samples, height, width, n_channels = images.shape
    flat = images.reshape(n_samples, height * width, n_channels)
    return Sequences(flat, np.full(n_samples, height * width), "array")


class ImageEstimator(Protocol):
    """An estimator that keeps the size of images."""

    image_shape_: tuple[int, ...]
    n_channels_in_: int
    n_features_in_: int
    feature_names_in_: np.ndarray


def read_images(estimator: ImageEstimator, X: Any, *, reset: bool) -> np.ndarray:
    """Read `X` and note its size on `estimator`.

    With `reset`, this sets ``n_features_in_``, ``n_channels_in_`` and ``image_shape_``.
    Otherwise it compares `X` with them.

    Parameters
    ----------
    estimator : ImageEstimator
        Named in messages; keeps the size.
    X : array, list of arrays, or a series or frame with a column of arrays
        Three- or four-dimensional.
    reset : bool
        Whether this is a fit.

    Returns
    -------
    ndarray of shape (n, height, width, C)
        A view of `X` where it is an array.

    Raises
    ------
    ValueError, TypeError
        If `X` cannot be read. The message names the input and the accepted forms.
    """
    samples = Samples.of(as_frame(X), FORMS)
    if samples.n_columns is not None and samples.n_columns > 1:
        raise ValueError(
            f"X has {samples.n_columns} columns of images. Pass one of them, such as "
            "X[['image']]; a ColumnTransformer treats each by itself."
        )
    images = samples.array if samples.array is not None else _stack(samples)
    if len(images) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={images.shape}) while a minimum of 1 "
            f"is required by {type(estimator).__name__}."
        )
    if images.ndim == 2:
        n_pixels = images.shape[1]
        side = math.isqrt(n_pixels)
        example = f"{side}, {side}" if side**2 == n_pixels else "height, width"
        raise ValueError(
            f"Expected images, got a 2D array of shape {images.shape}. If its rows are "
            f"flattened images, give them their shape: X.reshape(-1, {example}). A "
            "single image of height and width is X[np.newaxis]."
        )
    if images.ndim not in (3, 4):
        raise ValueError(f"X has the shape {images.shape}. {FORMS}")
    _check_axes(images)
    if 0 in images.shape:
        raise ValueError(f"X has images without pixels: its shape is {images.shape}.")
    images = images.reshape(*images.shape[:3], -1)
    _note_shape(estimator, images.shape[1:], reset)
    _note_columns(estimator, samples, reset)
    _check_finite(images)
    return images


def _stack(samples: Samples) -> np.ndarray:
    """Return images as one array; refuse different sizes."""
    images = [real_array(x, f"X[{i}]") for i, x in enumerate(samples.items)]
    shapes = [image.shape for image in images]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"X[{i}] has the shape {shape}, but X[0] has {shapes[0]}: all images "
                "need one size. Crop or resize them first, for instance with "
                "skimage.transform.resize."
            )
    return np.stack(images)


def _check_axes(images: np.ndarray) -> None:
    """Refuse axes in another order, warn where that is only likely."""
    if images.ndim == 3:
        height, width, last = images.shape
        if last <= 4 and min(height, width) >= 16:
            raise ValueError(
                f"X has the shape {images.shape}, which would be {height} images of a "
                f"width of {last}. A single image of height, width and channels is "
                "X[np.newaxis]."
            )
        return
    first, second, last = images.shape[1:]
    message = (
        f"X has the shape {images.shape}: its channels seem to come first. "
        "Put them last: X.transpose(0, 2, 3, 1)."
    )
    if first <= 4 < last:
        raise ValueError(message)
    if first < last and (second == last or 4 * first <= min(second, last)):
        warn(message, InputWarning)


def _note_shape(estimator: ImageEstimator, shape: tuple[int, ...], reset: bool) -> None:
    """Set or compare height, width and channels."""
    if reset:
        estimator.image_shape_ = shape
        estimator.n_channels_in_ = shape[2]
    elif shape != estimator.image_shape_:
        given, expected = (
            " x ".join(map(str, s)) for s in (shape, estimator.image_shape_)
        )
        raise ValueError(
            f"X has images of height x width x channels {given}, but "
            f"{type(estimator).__name__} is expecting {expected} as in fit."
        )


def _note_columns(estimator: ImageEstimator, samples: Samples, reset: bool) -> None:
    """Keep the number of columns of a frame, else of channels, and its name."""
    if not reset:
        return
    estimator.n_features_in_ = samples.n_columns or estimator.n_channels_in_
    if samples.names is not None:
        estimator.feature_names_in_ = np.array(samples.names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _check_finite(images: np.ndarray) -> None:
    if images.dtype.kind != "f":
        return
    limit = min(FLOAT32_MAX, float(np.finfo(images.dtype).max))
    n_images = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), n_images):
        piece = images[start : start + n_images]
        fine = (np.abs(piece) <= limit).all((1, 2, 3))  # False for NaN
        release([images])
        if not fine.all():
            bad = piece[fine.argmin()]
            what = (
                "NaN"
                if np.isnan(bad).any()
                else "infinity or a value too large for dtype('float32')"
            )
            raise ValueError(
                f"Input X contains {what}, first in sample {start + fine.argmin()}."
            )
