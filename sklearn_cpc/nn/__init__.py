"""The model and its parts, for people with their own training loop."""

from .contexts import AttentionContext, ConvContext, GRUContext, LSTMContext
from .convolutions import CausalConv, ConvStack
from .encoders import AudioEncoder, ConvEncoder, KernelEncoder, LogMelEncoder
from .grid import GridContext, GridCPC, RowContext
from .info_nce import info_nce
from .loss import CPCLoss
from .model import CPC
from .patches import ConvPatchEncoder, GridEncoder
from .predictors import LinearPredictor
from .spectra import LogMel
from .tokens import SentenceEncoder, TokenEncoder

__all__ = [
    "CPC",
    "AttentionContext",
    "AudioEncoder",
    "CPCLoss",
    "CausalConv",
    "ConvContext",
    "ConvEncoder",
    "ConvPatchEncoder",
    "ConvStack",
    "GRUContext",
    "GridCPC",
    "GridContext",
    "GridEncoder",
    "KernelEncoder",
    "LSTMContext",
    "LinearPredictor",
    "LogMel",
    "LogMelEncoder",
    "RowContext",
    "SentenceEncoder",
    "TokenEncoder",
    "info_nce",
]
