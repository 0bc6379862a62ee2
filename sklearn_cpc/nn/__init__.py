"""Building blocks for your own training loop: models, encoders, contexts, the loss."""

from .contexts import (
    AttentionContext,
    Context,
    ConvContext,
    GRUContext,
    LSTMContext,
)
from .encoders import (
    AudioEncoder,
    CausalConv,
    ConvEncoder,
    ConvPatchEncoder,
    ConvStack,
    Encoder,
    GridEncoder,
    KernelEncoder,
    LogMel,
    LogMelEncoder,
    PatchEncoder,
    SentenceEncoder,
    TokenEncoder,
)
from .grid import GridContext, GridCPC, RowContext
from .info_nce import SharedNegatives, info_nce
from .loss import CPCLoss
from .model import CPC, CPCOutput
from .negatives import Origin
from .predictors import LinearPredictor
from .registry import register

__all__ = [
    "CPC",
    "AttentionContext",
    "AudioEncoder",
    "CPCLoss",
    "CPCOutput",
    "CausalConv",
    "Context",
    "ConvContext",
    "ConvEncoder",
    "ConvPatchEncoder",
    "ConvStack",
    "Encoder",
    "GRUContext",
    "GridCPC",
    "GridContext",
    "GridEncoder",
    "KernelEncoder",
    "LSTMContext",
    "LinearPredictor",
    "LogMel",
    "LogMelEncoder",
    "Origin",
    "PatchEncoder",
    "RowContext",
    "SentenceEncoder",
    "SharedNegatives",
    "TokenEncoder",
    "info_nce",
    "register",
]
