"""Encoders, one file for each kind of data, and their names.

A named encoder is a class in one of these files with a name in a dictionary below. The
estimators take it from there; files name the class itself.
"""

from .audio import AudioEncoder, LogMelEncoder, SpectralKernelEncoder
from .base import Encoder, PlainEncoder, class_name
from .convolutions import CausalConv, ConvStack
from .dictionary import DictionaryPatchEncoder
from .images import ConvPatchEncoder, GridEncoder, PatchEncoder
from .series import ConvEncoder, FixedKernelEncoder, KernelEncoder
from .spectra import LogMel
from .texts import Embeddings, SentenceEncoder, TokenEncoder

# Constructors: (n_channels, latent_size, n_timesteps) -> Encoder
ENCODERS: dict[str, type[Encoder]] = {
    "conv": ConvEncoder,
    "kernels": FixedKernelEncoder,
    "audio": AudioEncoder,
    "log_mel": SpectralKernelEncoder,
}
# (n_channels, latent_size, patch_size) -> PatchEncoder
PATCH_ENCODERS: dict[str, type[PatchEncoder]] = {
    "conv": ConvPatchEncoder,
    "dictionary": DictionaryPatchEncoder,
}
# (n_tokens, latent_size, embedding_size, fixed, weighted) -> Embeddings
TEXT_ENCODERS: dict[str, type[Embeddings]] = {
    "token": TokenEncoder,
    "sentence": SentenceEncoder,
}

__all__ = [
    "ENCODERS",
    "PATCH_ENCODERS",
    "TEXT_ENCODERS",
    "AudioEncoder",
    "CausalConv",
    "ConvEncoder",
    "ConvPatchEncoder",
    "ConvStack",
    "DictionaryPatchEncoder",
    "Embeddings",
    "Encoder",
    "FixedKernelEncoder",
    "GridEncoder",
    "KernelEncoder",
    "LogMel",
    "LogMelEncoder",
    "PatchEncoder",
    "PlainEncoder",
    "SentenceEncoder",
    "SpectralKernelEncoder",
    "TokenEncoder",
    "class_name",
]
