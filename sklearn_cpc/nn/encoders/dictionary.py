"""The encoder of images that starts from the data: a dictionary of small windows."""

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import register
from ..tracing import is_tracing
from .images import PatchEncoder

# Added to the variance of windows: flat ones stay flat. Pixels have a variance of 1.
MIN_VARIANCE = 1e-2
# Added to the variances that whitening divides by: what hardly varies is noise.
WHITENING = 0.1
# Responses that are computed at once: with temporary copies, they stay in a cache.
IN_CACHE = 2**19
# The square root has no gradient at 0, where a window is an atom.
MIN_SQUARE = 1e-12
# Windows that a dictionary is learned from, and rounds of k-means.
N_WINDOWS, N_ROUNDS = 20_000, 10


@register
class DictionaryPatchEncoder(PatchEncoder):
    """Responses to a dictionary of small windows of the images, and a learned layer.

    Every window of a few pixels is centred, divided by its standard deviation, whitened
    and compared with the atoms of a dictionary: an atom responds by how much nearer it
    is than the atoms are on average. `calibrate` learns the dictionary from patches of
    the images by k-means [1]_; training does not change it. The mean over the windows
    is the first layer. The latents are a learned layer above the means of each quarter.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    latent_size : int
        Size of the latents.
    patch_size : int
        Side of a patch, in pixels.

    References
    ----------
    .. [1] A. Coates, H. Lee, A. Ng (2011), An Analysis of Single-Layer Networks in
       Unsupervised Feature Learning.
    """

    feature_layers = ("layer1",)
    n_calibration = 256
    window: ClassVar[int] = 6
    n_atoms: ClassVar[int] = 256
    # Steps along each side of a patch: time and memory do not grow with large images.
    most_windows: ClassVar[int] = 8

    def __init__(self, n_channels: int, latent_size: int, patch_size: int) -> None:
        super().__init__()
        self.n_channels, self.latent_size = n_channels, latent_size
        self.patch_size = patch_size
        side = min(self.window, patch_size // 2 + 1)
        n_values = n_channels * side**2
        self.stride = max(1, -(-(patch_size - side) // self.most_windows))
        self.whiten = nn.Conv2d(n_channels, n_values, side, self.stride)
        self.dictionary = nn.Linear(n_values, self.n_atoms, bias=False)
        for fixed in (self.whiten, self.dictionary):
            fixed.requires_grad_(False)
        self.n_windows = (patch_size - side) // self.stride + 1  # along each side
        n_parts = min(2, self.n_windows) ** 2
        self.linear = nn.Linear(self.n_atoms * n_parts, latent_size)
        self.norm = nn.LayerNorm(latent_size)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, P, P) -> (N, D)
        return self.layers(x)[-1]

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the mean responses of a patch, and its latent.

        Parameters
        ----------
        x : Tensor of shape (N, C, P, P)
            Patches.

        Returns
        -------
        list of Tensor
            Shapes (N, number of atoms) and (N, D).
        """
        average = window_means(self.n_windows).to(x.device)
        # Responses that leave the cache take four times as long.
        n_patches = max(1, IN_CACHE // (self.n_windows**2 * self.n_atoms))
        in_parts = x.device.type == "cpu" and not is_tracing()
        with torch.autocast(x.device.type, enabled=False):
            means = torch.cat(
                [
                    average @ self._responses(part.float())
                    for part in (x.split(n_patches) if in_parts else [x])
                ]
            )
        whole, *parts = means.unbind(1)
        latent = F.relu(self.norm(self.linear(torch.cat(parts, 1))))
        return [whole, latent]

    @property
    def _offset(self) -> Tensor:
        return cast(Tensor, self.whiten.bias)

    def _responses(self, x: Tensor) -> Tensor:
        """Return the responses to every window, ``(N, P' P', A)``."""
        side = self.whiten.kernel_size[0]
        mean = F.avg_pool2d(x.mean(1, keepdim=True), side, self.stride)
        square = F.avg_pool2d(x.square().mean(1, keepdim=True), side, self.stride)
        deviation = ((square - mean.square()).clamp(min=0) + MIN_VARIANCE).sqrt()
        # Whitening takes out the mean: its kernels sum to zero.
        windows = F.conv2d(x, self.whiten.weight, stride=self.stride) / deviation
        windows = windows.flatten(2).transpose(1, 2) + self._offset
        atoms = self.dictionary.weight
        squares = torch.addmm(
            atoms.square().sum(1), windows.flatten(0, 1), atoms.T, alpha=-2
        ).view(len(x), -1, len(atoms))
        squares.add_(windows.square().sum(-1, keepdim=True))
        distances = squares.clamp_(min=MIN_SQUARE).sqrt_()
        return F.relu(distances.mean(-1, keepdim=True) - distances)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Learn the whitening and the dictionary from patches.

        Parameters
        ----------
        x : Tensor of shape (N, C, P, P)
            Patches of the training images.
        """
        side = self.whiten.kernel_size[0]
        windows = F.unfold(x, side, stride=self.stride)  # (N, C side side, P' P')
        windows = windows.movedim(1, 2).flatten(0, 1)
        generator = torch.Generator().manual_seed(0)
        some = torch.randperm(len(windows), generator=generator)[:N_WINDOWS]
        windows = windows[some].double()
        windows = windows - windows.mean(1, keepdim=True)
        variance = windows.square().mean(1, keepdim=True)
        windows = windows / (variance + MIN_VARIANCE).sqrt()
        centre = windows.mean(0)
        covariance = (windows - centre).T @ (windows - centre) / len(windows)
        values, vectors = torch.linalg.eigh(covariance)
        whitening = vectors * (values.clamp(min=0) + WHITENING).rsqrt() @ vectors.T
        windows = (windows - centre) @ whitening
        self.dictionary.weight.copy_(k_means(windows.float(), self.n_atoms, generator))
        self._offset.copy_(-centre @ whitening)
        whitening -= whitening.mean(0)  # what comes later is not centred
        self.whiten.weight.copy_(whitening.T.view_as(self.whiten.weight))


def window_means(n_windows: int) -> Tensor:
    """Return weights of the mean over the windows of a patch and of each quarter.

    Parameters
    ----------
    n_windows : int
        Windows along each side of the patch. With one, there is one part.

    Returns
    -------
    Tensor of shape (1 + n_parts, n_windows ** 2)
        The whole patch comes first.
    """
    windows = torch.eye(n_windows**2).view(-1, n_windows, n_windows)
    whole, parts = (
        F.adaptive_avg_pool2d(windows, n).flatten(1).T for n in (1, min(2, n_windows))
    )
    return torch.cat([whole, parts])


# scikit-learn would be no gain. On 20,000 windows of Fashion-MNIST, this takes 0.6 s
# for a mean squared distance of 7.08, MiniBatchKMeans 0.3 s for 7.45, ten rounds of
# KMeans 1.0 s for 6.99; and a module of torch can start from the data by itself.
def k_means(x: Tensor, n_clusters: int, generator: torch.Generator) -> Tensor:
    """Return the centres that Lloyd's algorithm finds from a start by k-means++.

    Parameters
    ----------
    x : Tensor of shape (n, D)
        Points.
    n_clusters : int
    generator : torch.Generator
        Draws the first centres.

    Returns
    -------
    Tensor of shape (n_clusters, D)
        With fewer distinct points than clusters, some are equal.
    """
    centres = x[:1].expand(n_clusters, -1).clone()
    squares, tiny = x.square().sum(1), torch.finfo(x.dtype).tiny
    nearest = torch.full_like(squares, torch.inf)
    for i in range(1, n_clusters):
        centre = centres[i - 1]
        distances = squares - 2 * (x @ centre) + centre.square().sum()
        nearest = torch.minimum(nearest, distances).clamp_(min=tiny)
        centres[i] = x[torch.multinomial(nearest, 1, generator=generator)[0]]
    for _ in range(N_ROUNDS):
        cluster = (centres.square().sum(1) - 2 * x @ centres.T).argmin(1)
        sizes = torch.bincount(cluster, minlength=n_clusters)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, cluster, x)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres
