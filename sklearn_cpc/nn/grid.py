"""The CPC model of images: grids of patches, predicted in one or four directions.

A direction turns the grid so that prediction runs along its first axis. Each column is
then a sequence of patches.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from .contexts import CONTEXTS
from .initialization import build
from .model import CPCOutput, Model, Path
from .predictors import LinearPredictor, Predictor
from .registry import register

# Axes of rows and columns in (..., R, Q, D), the same for (B, R, Q, D) and (R, Q, D).
GRID_AXES = (-3, -2)
# Latents of a row that are mixed: a latent and its neighbours.
MIXED_COLUMNS = 3


@register
class RowContext(nn.Module):
    """A causal context along every column that also sees neighbours in each row.

    The context of a patch depends on the patches of its own row and of the rows
    above, in its column and one column to either side.

    Parameters
    ----------
    latent_size : int
        Size of the latents, D.
    context : nn.Module
        ``(B, T', D) -> (B, T', H)``, causal, such as `GRUContext`.
    """

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
        contexts: Tensor = c.unflatten(0, (n_samples, -1)).transpose(1, 2)
        return contexts


@register
class GridContext(nn.Module):
    """One context for each direction, concatenated at every patch.

    Parameters
    ----------
    contexts : list of RowContext
        The first one runs downwards, each of the others a quarter turn further.
    """

    def __init__(self, contexts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.contexts = nn.ModuleList(contexts)

    def forward(self, z: Tensor) -> Tensor:  # (B, R, Q, D) -> (B, R, Q, V H)
        turned = [
            torch.rot90(context(torch.rot90(z, turn, GRID_AXES)), -turn, GRID_AXES)
            for turn, context in enumerate(self.contexts)
        ]
        return torch.cat(turned, -1)


@register
class GridCPC(Model):
    """Contrastive predictive coding of images as grids of patches.

    The call is ``x -> [output, ...]``: a list with a `CPCOutput` for each direction.
    Its sequences are the columns of the turned grid.

    Parameters
    ----------
    encoder : Encoder
        ``(B, R, Q, C, P, P) -> (B, R, Q, D)``, each patch by itself.
    context : GridContext
        ``(B, R, Q, D) -> (B, R, Q, V H)``.
    predictor : nn.ModuleList of Predictor
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
    >>> from sklearn_cpc.nn import ConvPatchEncoder, GridCPC, GridEncoder
    >>> encoder = GridEncoder(ConvPatchEncoder(1, 128, 8), 2, latent_size=128)
    >>> model = GridCPC.build(encoder=encoder, prediction_steps=4)
    >>> for output in model(torch.randn(2, 6, 6, 1, 8, 8)):
    ...     print(output.predictions.shape)
    torch.Size([12, 6, 4, 128])
    """

    def __init__(
        self, encoder: nn.Module, context: nn.Module, predictor: nn.ModuleList
    ) -> None:
        super().__init__(encoder, context)
        self.predictor = predictor

    @classmethod
    def build(
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
            Runs along columns. Every direction gets a new one, or a copy of the module.
        latent_size, context_size : int, default=128
            Size of z and, for each direction, of c.
        prediction_steps : int, default=4
            Number of rows to predict.
        directions : {1, 4}, default=1
            1 predicts downwards, 4 also from the right, upwards, and from the left.
        generator : torch.Generator, default=None
            Draws the initial weights. None is torch's global one.

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

        sizes = (context_size, latent_size, prediction_steps)
        contexts = [row_context() for _ in range(directions)]
        predictors = [
            build(LinearPredictor, generator, sizes) for _ in range(directions)
        ]
        return cls(encoder, GridContext(contexts), nn.ModuleList(predictors))

    @property
    def predictors(self) -> list[Predictor]:
        """The predictor of each direction."""
        return [cast(Predictor, predictor) for predictor in self.predictor]

    def paths(self, z: Tensor, c: Tensor) -> Iterator[Path]:
        """Yield the columns of each direction, downwards first.

        Parameters
        ----------
        z : Tensor of shape (..., R, Q, D)
            Latents.
        c : Tensor of shape (..., R, Q, V H)
            Contexts.

        Yields
        ------
        Path
            With a sequence for each column of the turned grid.
        """
        predictors = self.predictors
        contexts = c.chunk(len(predictors), -1)
        for turn, (c_turn, predictor) in enumerate(
            zip(contexts, predictors, strict=True)
        ):
            z_turned, c_turned = (
                torch.rot90(grid, turn, GRID_AXES).transpose(*GRID_AXES)
                for grid in (z, c_turn)
            )
            yield Path(z_turned, c_turned, predictor)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> list[CPCOutput]:
        z = self.encoder(x)  # (B, R, Q, D)
        c = self.context(z)  # (B, R, Q, V H)
        outputs = []
        for path in self.paths(z, c):
            latents, contexts = path.z.flatten(0, 1), path.c.flatten(0, 1)
            n_sequences, n_steps = latents.shape[:2]
            n_latents = torch.full((n_sequences,), n_steps)  # images have no padding
            output = CPCOutput(latents, contexts, path.predictor, n_latents)
            outputs.append(output)
        return outputs
