"""Context networks: a causal summary of the latents, ``c = context(z)``.

A context is a module with the call ``(B, T', D) -> (B, T', H)`` in which step
``t`` depends on the latents up to ``t`` only. Its method ``advance(z, state)`` goes on
with sequences of which ``state``, None at their beginning, is what the last call
returned: it gives the contexts of the new latents, and the state for the next call.

To add one: write the class and give it a name in `CONTEXTS`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Latents that attention reaches back to, the present one included.
WINDOW = 128


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
        return self.advance(z)[0]

    def advance(self, z: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Go on with sequences; the state is that of the recurrent unit."""
        return self.rnn(z, state)


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
        return self.advance(z)[0]

    def advance(self, z: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Go on with sequences; the state is that of the recurrent unit."""
        return self.rnn(z, state)


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
        return self.advance(z)[0]

    def advance(self, z: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Go on with sequences; the state is the last inputs of each convolution."""
        c = self.project(z)
        following = []
        for i, (norm, conv, dilation) in enumerate(
            zip(self.norms, self.convolutions, self.dilations, strict=True)
        ):
            h = norm(c).transpose(1, 2)
            n_past = (self.kernel_size - 1) * dilation
            h = torch.cat([state[i], h], 2) if state else F.pad(h, (n_past, 0))
            following.append(h[:, :, h.shape[2] - n_past :])
            c = c + F.relu(conv(h)).transpose(1, 2)
        return c, following


class AttentionContext(nn.Module):
    """Causal self-attention of every latent to the last 128, in two layers.

    What is far away counts less (ALiBi, Press, Smith, Lewis 2022), so that sequences
    may be longer than those of the training. The cost is linear in their length.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    n_layers = 2

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_size, context_size)
        self.layers = nn.ModuleList(
            _AttentionLayer(context_size) for _ in range(self.n_layers)
        )

    def forward(self, z: Tensor) -> Tensor:  # (B, T', D) -> (B, T', H)
        return self.advance(z)[0]

    def advance(self, z: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Go on with sequences; the state is the last inputs of each layer."""
        c = self.project(z)
        following = []
        for i, layer in enumerate(self.layers):
            h = torch.cat([state[i], c], 1) if state else c
            following.append(h[:, -(WINDOW - 1) :])
            c = layer(h)[:, h.shape[1] - c.shape[1] :]
        return c, following


class _AttentionLayer(nn.Module):
    """Attention to the last steps, then a network for each step; both residual."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.n_heads = math.gcd(size, 4)
        self.norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.join = nn.Linear(size, size)
        self.step = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, 2 * size), nn.ReLU()
        )
        self.step.append(nn.Linear(2 * size, size))

    def forward(self, c: Tensor) -> Tensor:  # (B, T, H) -> (B, T, H)
        n_steps = c.shape[1]
        block = min(WINDOW, n_steps)
        n_blocks = (n_steps + block - 1) // block
        # Blocks of queries, which see their own block and the one before.
        h = F.pad(self.norm(c), (0, 0, 0, n_blocks * block - n_steps))
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, A, T, H/A)
            for part in self.query_key_value(h).chunk(3, dim=-1)
        )
        q, k, v = (part.unflatten(2, (n_blocks, block)) for part in (q, k, v))
        k, v = (
            torch.cat([F.pad(part, (0, 0, 0, 0, 1, 0))[:, :, :-1], part], 3)
            for part in (k, v)
        )  # (B, A, blocks, 2 block, H/A)
        bias = self._bias(n_blocks, block).to(q.device, q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        attended = attended.flatten(2, 3).transpose(1, 2).flatten(2)[:, :n_steps]
        c = c + self.join(attended)
        return c + self.step(c)

    def _bias(self, n_blocks: int, block: int) -> Tensor:
        """Return what is added to the scores, (A, blocks, block, 2 block)."""
        query = torch.arange(block)[:, None]
        key = torch.arange(2 * block) - block
        distance = query - key  # (block, 2 block)
        start = torch.arange(n_blocks)[:, None, None] * block
        seen = (distance >= 0) & (distance < block) & (start + key >= 0)
        slope = 2.0 ** (-8 * torch.arange(1, self.n_heads + 1) / self.n_heads)
        bias = -slope[:, None, None, None] * distance
        return bias.masked_fill(~seen, -torch.inf)


CONTEXTS = {
    "gru": GRUContext,
    "lstm": LSTMContext,
    "conv": ConvContext,
    "attention": AttentionContext,
}
