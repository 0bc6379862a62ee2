"""Small real data sets for examples and tests."""

from ._electrocardiogram import load_electrocardiogram
from ._japanese_vowels import load_japanese_vowels

__all__ = ["load_electrocardiogram", "load_japanese_vowels"]
