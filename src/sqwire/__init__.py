"""Sparse, low-bit neural networks as circuits on open FPGAs, exact from PyTorch to netlist."""

from ._version import __version__
from .verbs import compile, simulate, synth, train, verify

__all__ = ["__version__", "compile", "simulate", "synth", "train", "verify"]
