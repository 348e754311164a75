"""Training of sparse, low-bit networks, and their way out as QONNX. The only part with torch.

::

    qat = train.prepare(model, train.SQuantizer(weight_bits=4, act_bits=4, sigma=0.5), example)
    for x, y in loader:
        loss = qat.loss(criterion(qat(x), y))
        opt.zero_grad(); loss.backward(); opt.step(); qat.step()
    frozen = qat.freeze()
    frozen.export("model.onnx"); frozen.card.save("card.json")
"""

from . import networks
from .bar import bar
from .bsq import BSQ
from .card import Card, card
from .cifar10 import cifar10
from .data import Data, Split
from .dfq import DFQ
from .digits import digits
from .export import check, export, to_qonnx
from .freeze import freeze
from .frozen import Frozen
from .loop import Event, Progress, accuracy, fit
from .prepare import prepare
from .prune import Magnitude, Random
from .qat import QAT
from .recipe import Recipe, demo_recipe, load_recipe, parse_recipe
from .run import Run, demo, run
from .schedule import Schedule, reproducible
from .squantizer import SQuantizer
from .taylor import Taylor
from .uniform import Uniform

__all__ = [
    "BSQ",
    "DFQ",
    "QAT",
    "Card",
    "Data",
    "Event",
    "Frozen",
    "Magnitude",
    "Progress",
    "Random",
    "Recipe",
    "Run",
    "SQuantizer",
    "Schedule",
    "Split",
    "Taylor",
    "Uniform",
    "accuracy",
    "bar",
    "card",
    "check",
    "cifar10",
    "demo",
    "demo_recipe",
    "digits",
    "export",
    "fit",
    "freeze",
    "load_recipe",
    "networks",
    "parse_recipe",
    "prepare",
    "reproducible",
    "run",
    "to_qonnx",
]
