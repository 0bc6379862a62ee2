"""The model and its parts, for people with their own training loop."""

from .contexts import AttentionContext, ConvContext, GRUContext, LSTMContext
from .encoders import AudioEncoder, CausalConv, ConvEncoder, ConvStack
from .info_nce import info_nce
from .loss import CPCLoss
from .model import CPC
from .predictors import LinearPredictor
from .tokens import SentenceEncoder, TokenEncoder

__all__ = [
    "CPC",
    "AttentionContext",
    "AudioEncoder",
    "CPCLoss",
    "CausalConv",
    "ConvContext",
    "ConvEncoder",
    "ConvStack",
    "GRUContext",
    "LSTMContext",
    "LinearPredictor",
    "SentenceEncoder",
    "TokenEncoder",
    "info_nce",
]
