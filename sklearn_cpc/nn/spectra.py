"""Log-mel spectra of waveforms, what speech recognition usually starts from.

There is nothing to learn in them. The windowed Fourier transform is a product with a
fixed matrix: as fast as an FFT for so short windows, and it runs and exports wherever
a model does.
"""

import functools

import torch
from torch import Tensor, nn

from .windows import next_windows

RATE = 16_000  # samples a second
WINDOW, HOP = 400, 160  # 25 ms every 10 ms
N_FFT = 512
N_MELS = 40
# Added to the power of a band, as silence has to have a logarithm, too.
FLOOR = 1e-6


class LogMel(nn.Module):
    """Log-mel spectra of 16 kHz waveforms, 100 a second, that see the past only.

    Spectrum ``j`` is that of the 25 ms that end with sample ``160 * j``, under a Hann
    window; before the beginning there is silence. Its 40 bands are triangles whose
    corners are evenly spaced in mel (``2595 log10(1 + f / 700)``) from 0 to 8 kHz. The
    spectra of several channels are side by side. Always computed in float32.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import LogMel
    >>> LogMel()(torch.randn(2, 16_000, 1)).shape
    torch.Size([2, 100, 40])
    """

    receptive_field, stride, n_bands = WINDOW, HOP, N_MELS

    def __init__(self) -> None:  # without arguments
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, ceil(T / 160), 40 C)
        return self.advance(x)[0]

    def advance(
        self, x: Tensor, state: tuple[Tensor, int] | None = None
    ) -> tuple[Tensor, tuple[Tensor, int]]:
        """Go on with a sequence.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            The next samples.
        state : tuple of Tensor and int, default=None
            What the last call returned; None begins a sequence.

        Returns
        -------
        spectra : Tensor of shape (B, T', 40 C)
            One for every 160 samples that have begun.
        state : tuple of Tensor and int
            To be passed to the next call.
        """
        x, following = next_windows(x, state, WINDOW, HOP)
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, N_MELS * x.shape[2]), following
        fourier, mel = _matrices(x.device)
        with torch.autocast(x.device.type, enabled=False):
            # Not `unfold`, which ONNX knows for fixed lengths only.
            starts = torch.arange(0, x.shape[1] - WINDOW + 1, HOP, device=x.device)
            index = starts[:, None] + torch.arange(WINDOW, device=x.device)
            windows = x.float()[:, index].transpose(2, 3)  # (B, T', C, WINDOW)
            real, imaginary = (windows @ fourier).chunk(2, dim=-1)
            power = real.square() + imaginary.square()  # (B, T', C, N_FFT / 2 + 1)
            return torch.log(power @ mel + FLOOR).flatten(2), following


@functools.cache
@torch.inference_mode(False)  # or no later training could use them
def _matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the Fourier transform under the window, and the triangles.

    Constants, not buffers: files need not hold them, and nothing can change them.

    Returns
    -------
    fourier : Tensor of shape (WINDOW, 2 * (N_FFT / 2 + 1))
        Real parts, then imaginary parts.
    mel : Tensor of shape (N_FFT / 2 + 1, N_MELS)
    """
    # Without the zeros at its ends: the last sample counts.
    window = torch.hann_window(WINDOW + 2, periodic=False, dtype=torch.float64)[1:-1]
    fourier = torch.fft.rfft(torch.diag(window), N_FFT)
    frequencies = torch.linspace(0, RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    highest = 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700, dtype=torch.float64))
    corners = 700 * (10 ** (torch.linspace(0, 1, N_MELS + 2) * highest / 2595) - 1)
    low, centre, high = corners.unfold(0, 3, 1).T  # (N_MELS,) each
    rise = (frequencies[:, None] - low) / (centre - low)
    fall = (high - frequencies[:, None]) / (high - centre)
    mel = torch.minimum(rise, fall).clamp(min=0)
    parts = torch.cat([fourier.real, fourier.imag], dim=1)
    return parts.float().to(device), mel.float().to(device)
