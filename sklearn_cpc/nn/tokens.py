"""Encoders of text: token ids to latents, one for each token or each sentence.

They take ids as floats, which hold integers below 2 ** 24 exactly, so that text
travels like any other sequence, ``(B, T, C)``: a step is a token, or a sentence
whose channels are its tokens. Id 0 is padding.

To add one: write the class and give it a name in `TEXT_ENCODERS`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Sentences encoded at once where nothing is trained.
CHUNK = 2**10


class TokenEncoder(nn.Module):
    """Embeddings of tokens and a layer on top; a latent sees a single token.

    With convolutions over several tokens, a context and its nearest targets would share
    some, and the task would be solved by copying.

    Parameters
    ----------
    n_tokens : int
        Number of different ids.
    latent_size : int
        Size of the embeddings and of the latents.
    """

    crop_length = 48
    downsampling = receptive_field = 1
    layer_downsamplings = (1, 1)

    def __init__(self, n_tokens: int, latent_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent_size, latent_size)
        self.norm = nn.LayerNorm(latent_size)
        self.embedding = nn.Embedding(n_tokens, latent_size)

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

    def forward(self, x: Tensor) -> Tensor:  # (B, T, 1) -> (B, T, D)
        return self.layers(x)[-1]


class SentenceEncoder(nn.Module):
    """The paper's encoder of sentences: embeddings, a convolution, the mean.

    Nothing mixes sentences, and nothing but the convolution mixes tokens.

    Parameters
    ----------
    n_tokens : int
        Number of different ids.
    latent_size : int
        Size of the embeddings and of the latents.
    """

    crop_length = 32
    downsampling = receptive_field = 1
    layer_downsamplings = (1, 1)
    kernel_size = 3

    def __init__(self, n_tokens: int, latent_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, latent_size)
        self.convolution = nn.Conv1d(
            latent_size, latent_size, self.kernel_size, padding="same"
        )
        self.norm = nn.LayerNorm(latent_size)

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
        # Padding is zero, as beyond the ends: a sentence does not see how much.
        conv = F.relu(self.convolution(h.transpose(1, 2)).transpose(1, 2)) * real
        return h.sum(1) / n_real, F.relu(self.norm(conv.sum(1) / n_real))

    def forward(self, x: Tensor) -> Tensor:  # (B, S, L) -> (B, S, D)
        return self.layers(x)[-1]


TEXT_ENCODERS = {"token": TokenEncoder, "sentence": SentenceEncoder}
