"""Encoders of text: from token ids to latents, one for each token or each sentence.

They take ids as floats, which hold integers below 2 ** 24 exactly, so that texts have
the shape of any other sequence, ``(B, T, C)``. A step is a token, or a sentence with
its tokens as channels. Id 0 is padding.

To add one: write the class here and name it in ``encoders/__init__.py``.
"""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import register
from .base import Encoder
from .frequencies import SmoothInverseFrequency

# Sentences encoded at once outside of training.
CHUNK = 2**10


class Embeddings(Encoder):
    """Base class of the encoders of texts, which have a vector for each token."""

    receptive_field = 1
    feature_layers = ("layer1",)
    embedding: nn.Embedding

    def __init__(
        self,
        n_tokens: int,
        latent_size: int,
        embedding_size: int | None = None,
        fixed: bool = False,
        weighted: bool = False,
    ) -> None:
        super().__init__()
        self.n_tokens, self.latent_size, self.fixed = n_tokens, latent_size, fixed
        self.embedding_size = embedding_size or latent_size
        self.weighted = weighted
        self.frequencies: SmoothInverseFrequency | None = None
        if weighted:
            self.frequencies = SmoothInverseFrequency(n_tokens, self.embedding_size)

    @property
    def sif(self) -> SmoothInverseFrequency | None:
        """Weights of tokens, for the pooling "sif"; None in older files."""
        return self.frequencies

    def fill(
        self,
        weights: np.ndarray,
        vectors: np.ndarray | None = None,
        component: np.ndarray | None = None,
    ) -> None:
        """Set what the texts tell of the tokens, before training.

        Parameters
        ----------
        weights : ndarray of shape (n_tokens,)
            See `SmoothInverseFrequency`.
        vectors : ndarray of shape (n_tokens, embedding_size), default=None
            The embeddings. None leaves them as they are.
        component : ndarray of shape (embedding_size,), default=None
            Of their means, as `weights`. None removes nothing.
        """
        with torch.no_grad():
            if vectors is not None:
                self.embedding.weight.copy_(torch.from_numpy(vectors))
            if self.frequencies is not None:
                self.frequencies.weights.copy_(torch.from_numpy(weights))
                self.frequencies.component.zero_()
                if component is not None:
                    self.frequencies.component.copy_(torch.from_numpy(component))

    def _embedding(self) -> nn.Embedding:
        embedding = nn.Embedding(self.n_tokens, self.embedding_size)
        embedding.weight.requires_grad_(not self.fixed)
        return embedding


@register
class TokenEncoder(Embeddings):
    """Embeddings of tokens and one layer above; a latent sees a single token.

    With convolutions over several tokens, a context would share tokens with its nearest
    targets, and copying would solve the task.

    Parameters
    ----------
    n_tokens : int
        Number of different ids.
    latent_size : int
        Size of the latents.
    embedding_size : int, default=None
        Size of the embeddings. None is `latent_size`.
    fixed : bool, default=False
        Whether training leaves the embeddings as they are.
    weighted : bool, default=False
        Whether it has weights of tokens, for the pooling "sif".
    """

    crop_length = 48

    def __init__(
        self,
        n_tokens: int,
        latent_size: int,
        embedding_size: int | None = None,
        fixed: bool = False,
        weighted: bool = False,
    ) -> None:
        super().__init__(n_tokens, latent_size, embedding_size, fixed, weighted)
        # In this order: files hold the state of the optimizer by it.
        self.linear = nn.Linear(self.embedding_size, latent_size)
        self.norm = nn.LayerNorm(latent_size)
        self.embedding = self._embedding()

    def forward(self, x: Tensor) -> Tensor:  # (B, T, 1) -> (B, T, D)
        return self.layers(x)[-1]

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the embeddings and the latents.

        Parameters
        ----------
        x : Tensor of shape (B, T, 1)
            Token ids.

        Returns
        -------
        list of Tensor
            Shapes (B, T, D).
        """
        h = self.embedding(x[..., 0].long())  # (B, T, D)
        return [h, F.relu(self.norm(self.linear(h)))]


@register
class SentenceEncoder(Embeddings):
    """The paper's encoder of sentences: embeddings, a convolution, the mean.

    Nothing mixes sentences. The convolution alone mixes tokens.

    Parameters
    ----------
    n_tokens : int
        Number of different ids.
    latent_size : int
        Size of the latents.
    embedding_size : int, default=None
        Size of the embeddings. None is `latent_size`.
    fixed : bool, default=False
        Whether training leaves the embeddings as they are.
    weighted : bool, default=False
        Whether it has weights of tokens, for the pooling "sif".
    """

    crop_length = 32
    kernel_size: ClassVar[int] = 3

    def __init__(
        self,
        n_tokens: int,
        latent_size: int,
        embedding_size: int | None = None,
        fixed: bool = False,
        weighted: bool = False,
    ) -> None:
        super().__init__(n_tokens, latent_size, embedding_size, fixed, weighted)
        self.embedding = self._embedding()
        self.convolution = nn.Conv1d(
            self.embedding_size, latent_size, self.kernel_size, padding="same"
        )
        self.norm = nn.LayerNorm(latent_size)

    def forward(self, x: Tensor) -> Tensor:  # (B, S, L) -> (B, S, D)
        return self.layers(x)[-1]

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the mean embedding of every sentence and its latent.

        Parameters
        ----------
        x : Tensor of shape (B, S, L)
            Token ids of sentences, 0 after their end.

        Returns
        -------
        list of Tensor
            Shapes (B, S, D).
        """
        sentences = x.long().flatten(0, 1)  # (B S, L)
        n_chunks = 1 if torch.is_grad_enabled() else -(-len(sentences) // CHUNK)
        parts = [self._encode(part) for part in sentences.tensor_split(n_chunks)]
        layers = zip(*parts, strict=True)
        return [torch.cat(h).unflatten(0, x.shape[:2]) for h in layers]

    def _encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ``(n, L)`` ids into means and latents, ``(n, D)``."""
        real = (tokens > 0)[..., None]  # (n, L, 1)
        n_real = real.sum(1).clamp(min=1)  # (n, 1)
        h = self.embedding(tokens) * real  # (n, L, D)
        # Padding is zero, like the convolution's own padding: its amount has no effect.
        conv = F.relu(self.convolution(h.transpose(1, 2)).transpose(1, 2)) * real
        return h.sum(1) / n_real, F.relu(self.norm(conv.sum(1) / n_real))
