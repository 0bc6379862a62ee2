"""The CPC model of images: grids of patches, read in one or four directions.

A direction turns the grid so that its first axis is what was and what will be. Each
column is then a sequence of patches like any other.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .contexts import CONTEXTS
from .initialization import build
from .model import CPC, CPCOutput
from .predictors import LinearPredictor

# Axes of rows and columns in (..., R, Q, D), the same for (B, R, Q, D) and (R, Q, D).
GRID_AXES = (-3, -2)
# Neighbours in its row, itself included, that a latent is mixed with.
MIXED_COLUMNS = 3


class RowContext(nn.Module):
    """A causal context along every column that also sees neighbours in each row.

    The context of a patch depends on the patches of its own row and of the rows
    above, one column to either side.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context : nn.Module
        ``(B, T', D) -> (B, T', H)``, causal, such as those of
        `sklearn_cpc.nn.contexts`.
    """

    made_of = ("latent_size", "context")

    def __init__(self, latent_size: int, context: nn.Module) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.mix = nn.Conv1d(
            latent_size,
            latent_size,
            MIXED_COLUMNS,
            padding=MIXED_COLUMNS // 2,
            groups=latent_size,
        )
        self.context = context

    def forward(self, z: Tensor) -> Tensor:  # (B, R, Q, D) -> (B, R, Q, H)
        n_samples, n_rows = z.shape[:2]
        rows = z.flatten(0, 1).transpose(1, 2)  # (B R, D, Q)
        z = z + self.mix(rows).transpose(1, 2).unflatten(0, (n_samples, n_rows))
        c = self.context(z.transpose(1, 2).flatten(0, 1))  # (B Q, R, H)
        return c.unflatten(0, (n_samples, -1)).transpose(1, 2)


class GridContext(nn.Module):
    """One context for each direction; all are given where the patch is.

    Parameters
    ----------
    contexts : list of RowContext
        For the directions down, and then each a quarter turn further.
    """

    made_of = ("contexts",)

    def __init__(self, contexts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.contexts = nn.ModuleList(contexts)

    def forward(self, z: Tensor) -> Tensor:  # (B, R, Q, D) -> (B, R, Q, V H)
        turned = [
            torch.rot90(context(torch.rot90(z, turn, GRID_AXES)), -turn, GRID_AXES)
            for turn, context in enumerate(self.contexts)
        ]
        return torch.cat(turned, -1)


class GridCPC(CPC):
    """Contrastive predictive coding of images as grids of patches.

    Parameters
    ----------
    encoder : nn.Module
        ``(B, R, Q, C, P, P) -> (B, R, Q, D)``, each patch by itself.
    context : GridContext
        ``(B, R, Q, D) -> (B, R, Q, V H)``.
    predictor : nn.ModuleList of nn.Module
        One for each of the V directions, ``(..., H) -> (..., K, D)``.

    See Also
    --------
    CPC : The model of sequences.

    References
    ----------
    O. Henaff et al. (2020), Data-Efficient Image Recognition with Contrastive
    Predictive Coding, arXiv:1905.09272.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import GridCPC, GridEncoder
    >>> from sklearn_cpc.nn.patches import ConvPatchEncoder
    >>> encoder = GridEncoder(ConvPatchEncoder(1, 128, 8), 2, latent_size=128)
    >>> model = GridCPC.build(encoder=encoder, prediction_steps=4)
    >>> for z, c, predictions, lengths in model(torch.randn(2, 6, 6, 1, 8, 8)):
    ...     print(predictions.shape)
    torch.Size([12, 6, 4, 128])
    """

    predictor: Any

    @classmethod
    def build(  # type: ignore[override]
        cls,
        *,
        encoder: nn.Module,
        context: str | nn.Module = "gru",
        latent_size: int = 128,
        context_size: int = 128,
        prediction_steps: int = 4,
        directions: int = 1,
        generator: torch.Generator | None = None,
    ) -> "GridCPC":
        """Build a model around an encoder.

        Parameters
        ----------
        encoder : nn.Module
            Such as `GridEncoder`, with latents of the size `latent_size`.
        context : {"gru", "lstm", "conv", "attention"} or nn.Module, default="gru"
            Runs along columns; every direction has one of its own, or a copy.
        latent_size, context_size : int, default=128
            Size of z and, for each direction, of c.
        prediction_steps : int, default=4
            Number of rows to predict.
        directions : {1, 4}, default=1
            Down only; or also from the right, upwards, and from the left.
        generator : torch.Generator, default=None
            Source of the initial weights. None uses torch's global one.

        Returns
        -------
        GridCPC
        """

        def row_context() -> nn.Module:
            along = (
                copy.deepcopy(context)
                if isinstance(context, nn.Module)
                else build(CONTEXTS[context], generator, (latent_size, context_size))
            )
            mixing = build(lambda: RowContext(latent_size, nn.Identity()), generator)
            mixing.context = along
            return mixing

        contexts = [row_context() for _ in range(directions)]
        predictors = [
            build(
                LinearPredictor,
                generator,
                (context_size, latent_size, prediction_steps),
            )
            for _ in range(directions)
        ]
        return cls(encoder, GridContext(contexts), nn.ModuleList(predictors))

    @property
    def prediction_steps(self) -> int:
        """Number of rows ahead that are predicted."""
        steps: int = self.predictor[0].prediction_steps
        return steps

    def paths(self, z: Tensor, c: Tensor) -> Iterator[tuple[Tensor, Tensor, nn.Module]]:
        """Yield columns, down and then in each further direction.

        Parameters
        ----------
        z : Tensor of shape (..., R, Q, D)
            Latents.
        c : Tensor of shape (..., R, Q, V H)
            Contexts.

        Yields
        ------
        z : Tensor of shape (..., Q, R, D)
            Latents of the columns, in the order in which they are predicted.
        c : Tensor of shape (..., Q, R, H)
            Their contexts.
        predictor : nn.Module
            That of the direction.
        """
        contexts = c.chunk(len(self.predictor), -1)
        for turn, (part, predictor) in enumerate(
            zip(contexts, self.predictor, strict=True)
        ):
            z_turned, c_turned = (
                torch.rot90(grid, turn, GRID_AXES).transpose(*GRID_AXES)
                for grid in (z, part)
            )
            yield z_turned, c_turned, predictor

    def forward(  # type: ignore[override]
        self, x: Tensor, lengths: Tensor | None = None
    ) -> list[CPCOutput]:
        """Return the output of each direction, with the columns as samples."""
        z = self.encoder(x)  # (B, R, Q, D)
        c = self.context(z)  # (B, R, Q, V H)
        outputs = []
        for latents, contexts, predictor in self.paths(z, c):
            latents, contexts = latents.flatten(0, 1), contexts.flatten(0, 1)
            n_sequences, n_steps = latents.shape[:2]
            lengths = torch.full((n_sequences,), n_steps)
            outputs.append(CPCOutput(latents, contexts, predictor(contexts), lengths))
        return outputs
