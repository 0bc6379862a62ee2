"""Smooth inverse frequency: how much the tokens of a text count in its mean.

S. Arora, Y. Liang, T. Ma (2017), A Simple but Tough-to-Beat Baseline for Sentence
Embeddings, ICLR.
"""

import torch
from torch import Tensor, nn


class SmoothInverseFrequency(nn.Module):
    """Weights of tokens, and what the weighted means of all texts have in common.

    Parameters
    ----------
    n_tokens : int
        Number of different ids.
    embedding_size : int
        Size of the embeddings.

    Attributes
    ----------
    weights : Tensor of shape (n_tokens,)
        Larger for rarer tokens.
    component : Tensor of shape (embedding_size,)
        First component of the mean embeddings of texts, of length 1. Zeros remove
        nothing.
    """

    weights: Tensor
    component: Tensor

    def __init__(self, n_tokens: int, embedding_size: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.ones(n_tokens))
        self.register_buffer("component", torch.zeros(embedding_size))

    def of_steps(self, x: Tensor) -> Tensor:
        """Return the weight of each step, the mean over its tokens.

        Parameters
        ----------
        x : Tensor of shape (B, T, L)
            Token ids of each step, 0 after its end.

        Returns
        -------
        Tensor of shape (B, T, 1)
            0 where a step has no token.
        """
        ids = x.long()
        real = ids > 0
        n_real = real.sum(-1, keepdim=True).clamp(min=1)
        return (self.weights[ids] * real).sum(-1, keepdim=True) / n_real

    def without_component(self, means: Tensor) -> Tensor:
        """Return mean embeddings, (B, embedding_size), without the first component."""
        return means - (means @ self.component)[:, None] * self.component
