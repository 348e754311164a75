"""Training of sparse, low-bit networks, and their way out as QONNX. The only part with torch."""

from .bar import bar
from .card import Card, card
from .demo_net import demo_net
from .digits import Split, digits
from .export import check, export, to_qonnx
from .freeze import freeze
from .frozen import Frozen
from .loop import Event, Progress, Schedule, fit, reproducible
from .network import Network
from .recipe import Recipe, load_recipe, parse_recipe
from .run import Run, demo, run
from .squantizer import SQuantizer

__all__ = [
    "Card",
    "Event",
    "Frozen",
    "Network",
    "Progress",
    "Recipe",
    "Run",
    "SQuantizer",
    "Schedule",
    "Split",
    "bar",
    "card",
    "check",
    "demo",
    "demo_net",
    "digits",
    "export",
    "fit",
    "freeze",
    "load_recipe",
    "parse_recipe",
    "reproducible",
    "run",
    "to_qonnx",
]
