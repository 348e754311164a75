"""Sparse, low-bit neural networks as circuits on open FPGAs, exact from PyTorch to netlist.

The verbs of the command line are functions here; training is :mod:`sqwire.train`, which is loaded
when it is imported, and torch with it. The boards known are in :mod:`sqwire.boards`.
"""

from ._version import __version__
from .verbs import compile, inspect, program, run, simulate, synth, verify

__all__ = ["__version__", "compile", "inspect", "program", "run", "simulate", "synth", "verify"]
