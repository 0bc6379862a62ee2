"""Context networks: a causal summary of the latents, ``c = context(z)``.

To add one: write the class and name it in `CONTEXTS`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .causal import CausalModule, State
from .registry import register

# Latents that attention sees, the present one included.
WINDOW = 128


class Context(CausalModule):
    """From latents to contexts, ``(B, T', D) -> (B, T', H)``, causal.

    A subclass writes `advance`, which streams need, or `forward` alone. Any other
    `torch.nn.Module` with this call works, too, but not in streams.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__()
        self.latent_size, self.context_size = latent_size, context_size

    def forward(self, z: Tensor) -> Tensor:  # (B, T', D) -> (B, T', H)
        return self.advance(z)[0]


@register
class GRUContext(Context):
    """The paper's autoregressive model: a gated recurrent unit.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__(latent_size, context_size)
        self.rnn = nn.GRU(latent_size, context_size, batch_first=True)

    def advance(self, z: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next latents; the state is the hidden state of the unit."""
        c, state = self.rnn(z, state)
        return c, state


@register
class LSTMContext(Context):
    """Long short-term memory; on a CPU up to twice as fast as the GRU.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__(latent_size, context_size)
        self.rnn = nn.LSTM(latent_size, context_size, batch_first=True)

    def advance(self, z: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next latents; the state is the hidden state of the unit."""
        if not (z.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            c, state = self.rnn(z, state)
            return c, state
        # Without AVX-512, torch raises an error for a unit of low precision.
        with torch.autocast("cpu", enabled=False):
            c, state = self.rnn(z.float(), state)
        return c, state


@register
class ConvContext(Context):
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
        super().__init__(latent_size, context_size)
        self.project = nn.Linear(latent_size, context_size)
        self.norms = nn.ModuleList(nn.LayerNorm(context_size) for _ in self.dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(context_size, context_size, self.kernel_size, dilation=dilation)
            for dilation in self.dilations
        )

    def advance(self, z: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next latents; the state is the last inputs of each layer."""
        c = self.project(z)
        next_states = []
        for i, (norm, conv, dilation) in enumerate(
            zip(self.norms, self.convolutions, self.dilations, strict=True)
        ):
            h = norm(c).transpose(1, 2)
            n_past = (self.kernel_size - 1) * dilation
            h = torch.cat([state[i], h], 2) if state else F.pad(h, (n_past, 0))
            next_states.append(h[:, :, h.shape[2] - n_past :])
            c = c + F.relu(conv(h)).transpose(1, 2)
        return c, next_states


@register
class AttentionContext(Context):
    """Causal self-attention of every latent to the last 128, in two layers.

    Attention decays with distance (ALiBi; Press, Smith, Lewis 2022), so that sequences
    may be longer than in training. The cost is linear in their length.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context_size : int
        Size of the contexts, H.
    """

    n_layers = 2

    def __init__(self, latent_size: int, context_size: int) -> None:
        super().__init__(latent_size, context_size)
        self.project = nn.Linear(latent_size, context_size)
        self.layers = nn.ModuleList(
            _AttentionLayer(context_size) for _ in range(self.n_layers)
        )

    def advance(self, z: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next latents; the state is the last inputs of each layer."""
        c = self.project(z)
        next_states = []
        for i, layer in enumerate(self.layers):
            h = torch.cat([state[i], c], 1) if state else c
            next_states.append(h[:, -(WINDOW - 1) :])
            c = layer(h)[:, h.shape[1] - c.shape[1] :]
        return c, next_states


class _AttentionLayer(nn.Module):
    """Attention to the last steps, then a network on each step; both residual."""

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
        # A block of queries sees its own block and the one before.
        h = F.pad(self.norm(c), (0, 0, 0, n_blocks * block - n_steps))
        q, k, v = (
            x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, A, T, H/A)
            for x in self.query_key_value(h).chunk(3, dim=-1)
        )
        q, k, v = (x.unflatten(2, (n_blocks, block)) for x in (q, k, v))
        k, v = (
            torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x], 3) for x in (k, v)
        )  # (B, A, blocks, 2 block, H/A)
        bias = self._bias(n_blocks, block).to(q.device, q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        attended = attended.flatten(2, 3).transpose(1, 2).flatten(2)[:, :n_steps]
        c = c + self.join(attended)
        context: Tensor = c + self.step(c)
        return context

    def _bias(self, n_blocks: int, block: int) -> Tensor:
        """Return the bias of the scores, (A, blocks, block, 2 block)."""
        query = torch.arange(block)[:, None]
        key = torch.arange(2 * block) - block
        distance = query - key  # (block, 2 block)
        start = torch.arange(n_blocks)[:, None, None] * block
        seen = (distance >= 0) & (distance < block) & (start + key >= 0)
        slope = 2.0 ** (-8 * torch.arange(1, self.n_heads + 1) / self.n_heads)
        bias = -slope[:, None, None, None] * distance
        return bias.masked_fill(~seen, -torch.inf)


# Constructors: (latent_size, context_size) -> Context
CONTEXTS: dict[str, type[Context]] = {
    "gru": GRUContext,
    "lstm": LSTMContext,
    "conv": ConvContext,
    "attention": AttentionContext,
}
