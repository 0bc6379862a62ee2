"""Context networks: a causal summary of the latents, ``c = context(z)``.

A context is a module with the call ``(B, T', D) -> (B, T', H)`` in which step
``t`` depends on the latents up to ``t`` only.

To add one: write the class and give it a name in `CONTEXTS`.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class GRUContext(nn.Module):
    """The paper's autoregressive model: a gated recurrent unit.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(latent_size, context_size, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:  # (B, T', D) -> (B, T', H)
        return self.rnn(z)[0]


class LSTMContext(nn.Module):
    """Long short-term memory; on a CPU up to twice as fast as the GRU.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(latent_size, context_size, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:  # (B, T', D) -> (B, T', H)
        return self.rnn(z)[0]


class ConvContext(nn.Module):
    """Residual dilated causal convolutions over the last 61 latents.

    Four blocks with kernel 5 and dilations 1, 2, 4 and 8, as in WaveNet and
    temporal convolutional networks.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    kernel_size = 5
    dilations = (1, 2, 4, 8)

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_size, context_size)
        self.norms = nn.ModuleList(nn.LayerNorm(context_size) for _ in self.dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(context_size, context_size, self.kernel_size, dilation=dilation)
            for dilation in self.dilations
        )

    def forward(self, z: Tensor) -> Tensor:  # (B, T', D) -> (B, T', H)
        c = self.project(z)
        for norm, conv, dilation in zip(
            self.norms, self.convolutions, self.dilations, strict=True
        ):
            past = F.pad(
                norm(c).transpose(1, 2), ((self.kernel_size - 1) * dilation, 0)
            )
            c = c + F.relu(conv(past)).transpose(1, 2)
        return c


CONTEXTS = {"gru": GRUContext, "lstm": LSTMContext, "conv": ConvContext}
