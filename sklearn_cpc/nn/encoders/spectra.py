"""Log-mel spectra of waveforms, the usual input of speech recognition.

Nothing in them is learned. The windowed Fourier transform is a product with a fixed
matrix. For windows this short it is as fast as an FFT, and it runs and exports wherever
a model does.
"""

import functools

import torch
from torch import Tensor

from ..causal import CausalModule
from .windows import WindowState, next_windows

RATE = 16_000  # samples a second
WINDOW, HOP = 400, 160  # 25 ms every 10 ms
N_FFT = 512
N_MELS = 40
# Added to the power of a band, so that silence has a logarithm.
FLOOR = 1e-6


class LogMel(CausalModule):
    """Log-mel spectra of 16 kHz waveforms, 100 a second, causal.

    Spectrum ``j`` covers the 25 ms that end with sample ``160 * j``, under a Hann
    window. Silence precedes the waveform. The 40 bands are triangles with corners
    evenly spaced in mel (``2595 log10(1 + f / 700)``) from 0 to 8 kHz. The spectra of
    several channels stand side by side. The computation is always in float32.

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
        self, x: Tensor, state: WindowState | None = None
    ) -> tuple[Tensor, WindowState]:
        """Process the next samples.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            The next samples.
        state : tuple of Tensor and int, default=None
            What the last call returned. None starts new sequences.

        Returns
        -------
        spectra : Tensor of shape (B, T', 40 C)
            One for every 160 samples that begin within `x`.
        state : tuple of Tensor and int
            To be passed to the next call.
        """
        x, next_state = next_windows(x, state, WINDOW, HOP)
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, N_MELS * x.shape[2]), next_state
        fourier, mel = _matrices(x.device)
        with torch.autocast(x.device.type, enabled=False):
            # No `unfold`: ONNX has it for fixed lengths only.
            starts = torch.arange(0, x.shape[1] - WINDOW + 1, HOP, device=x.device)
            index = starts[:, None] + torch.arange(WINDOW, device=x.device)
            windows = x.float()[:, index].transpose(2, 3)  # (B, T', C, WINDOW)
            real, imaginary = (windows @ fourier).chunk(2, dim=-1)
            power = real.square() + imaginary.square()  # (B, T', C, N_FFT / 2 + 1)
            return torch.log(power @ mel + FLOOR).flatten(2), next_state


@functools.cache
@torch.inference_mode(False)  # inference tensors could not be used in training
def _matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the matrix of the windowed Fourier transform, and the mel bands.

    They are constants and not buffers, so that files need not hold them.

    Returns
    -------
    fourier : Tensor of shape (WINDOW, 2 * (N_FFT / 2 + 1))
        Real parts, then imaginary parts.
    mel : Tensor of shape (N_FFT / 2 + 1, N_MELS)
    """
    # The window without the zeros at its ends, so that the last sample counts.
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
