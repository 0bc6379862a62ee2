"""Augmentations: random variation of patches in training, never in `transform`.

Each is a function of patches ``(B, R, Q, C, P, P)`` and a numpy generator that returns
patches of the same shape. After A. van den Oord et al. (2018), section 3.3, and O.
Henaff et al. (2020), arXiv:1905.09272, appendix A.

To add one: write the function and name it in `AUGMENTATIONS`.
"""

import numpy as np

from .batches import Augmentation

# Crops shift by at most this part of the side of a patch.
JITTER = 1 / 8
# Probability that a patch loses its colours, and that an image is mirrored.
P_GREY, P_FLIP = 0.25, 0.5


def crop(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each patch by up to a few pixels, and repeat its border."""
    *_, n_channels, side, _ = patches.shape
    flat = patches.reshape(-1, n_channels, side, side)
    most = max(1, int(side * JITTER))
    shift = rng.integers(-most, most + 1, (2, len(flat), 1))
    rows, columns = np.clip(np.arange(side) + shift, 0, side - 1)  # (N, P) each
    shifted = np.take_along_axis(flat, rows[:, None, :, None], 2)
    return np.take_along_axis(shifted, columns[:, None, None, :], 3).reshape(
        patches.shape
    )


def flip(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of the images left and right."""
    mirrored = rng.random(len(patches)) < P_FLIP
    patches = patches.copy()
    patches[mirrored] = patches[mirrored][:, :, ::-1, ..., ::-1]
    return patches


def grey(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace the channels of a quarter of the patches by their mean."""
    chosen = rng.random(patches.shape[:3]) < P_GREY
    patches = patches.copy()
    patches[chosen] = patches[chosen].mean(1, keepdims=True)
    return patches


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": crop,
    "flip": flip,
    "grey": grey,
}


def compose(names: tuple[str, ...]) -> Augmentation:
    """Return a function that applies several augmentations in turn."""

    def augment(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for name in names:
            patches = AUGMENTATIONS[name](patches, rng)
        return patches

    return augment
