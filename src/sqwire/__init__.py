"""Sparse, low-bit neural networks as circuits on open FPGAs."""

from ._version import __version__

__all__ = ["__version__"]
