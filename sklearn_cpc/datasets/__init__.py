"""Small real data sets for examples and tests."""

from ._japanese_vowels import load_japanese_vowels

__all__ = ["load_japanese_vowels"]
