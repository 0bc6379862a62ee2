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
    DictionaryPatchEncoder,
    Encoder,
    FixedKernelEncoder,
    GridEncoder,
    KernelEncoder,
    LogMel,
    LogMelEncoder,
    PatchEncoder,
    SentenceEncoder,
    SpectralKernelEncoder,
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
    "DictionaryPatchEncoder",
    "Encoder",
    "FixedKernelEncoder",
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
    "SpectralKernelEncoder",
    "TokenEncoder",
    "info_nce",
    "register",
]
