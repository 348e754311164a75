"""The lines of the tables of bench/train.py: which methods, with which settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqwire import train


@dataclass(frozen=True)
class Config:
    """One line: a method (None: plain float), and what the network starts from."""

    name: str
    method: Any = None
    from_float: bool = True
    own: dict[str, Any] = field(default_factory=dict)
    permuted: str = ""
    """The line whose widths this one has, given to other layers by lot: a control."""
    room: bool = False
    """Whether the fastest circuit in a fixed room is searched for; that takes a while."""


FLOAT = Config("float")
"""The network that all lines with ``from_float`` start from."""


def digit_lines(epochs: float) -> list[Config]:
    """All methods with times that fit ``epochs``."""
    prune = {"end": 0.5 * epochs, "quantize": 0.6 * epochs, "interval": epochs / 60}
    search = {"search": 0.6 * epochs}
    made = []
    for width in (4, 2):
        for sigma in (0.0, 0.5, 1.0, 2.0):
            method = train.SQuantizer(weight_bits=width, sigma=sigma, delay=epochs / 3)
            name = f"SQuantizer W{width} sigma {sigma:g}"
            made.append(Config(name, method, from_float=False, room=width == 4))
    for kind in (train.Taylor, train.Magnitude, train.Random):
        for zeros in (0.9, 0.95, 0.98):
            made.append(Config(
                f"{kind.__name__} {zeros:.0%}", kind(zeros=zeros, **prune),
                room=kind is train.Taylor,
            ))  # fmt: skip
    for alpha in (3e-3, 3e-2, 1e-1):
        method = train.BSQ(alpha=alpha, interval=epochs / 15, **search)
        made.append(Config(f"BSQ alpha {alpha:g}", method))
    for budget in (3, 4):
        made.append(Config(f"DFQ budget {budget}", train.DFQ(budget=budget, **search)))
        made.append(
            Config(f"Uniform W{budget}", train.Uniform(weight_bits=budget), room=budget == 4)
        )
        name = f"DFQ budget {budget}"
        made.append(Config(f"{name}, widths by lot", train.Uniform(), permuted=name))
    return made


def cifar_lines(epochs: float, alpha: float) -> list[Config]:
    """Fine-tuning of a float ResNet-20; the order is that in which time runs out.

    BSQ wants a larger ``alpha`` the fewer steps there are.
    """
    prune = {"end": 0.5 * epochs, "quantize": 0.6 * epochs, "interval": epochs / 30}
    search = {"search": 0.6 * epochs}
    return [
        Config("SQuantizer W4A4 55%", train.SQuantizer(zeros=0.55)),
        Config("SQuantizer W4A4 80%", train.SQuantizer(zeros=0.8)),
        Config("Taylor W4A4 90%", train.Taylor(zeros=0.9, **prune)),
        Config("float, fine-tuned as the others"),
        Config("Taylor W4A4 95%", train.Taylor(zeros=0.95, **prune)),
        Config("Taylor W4A4 99%", train.Taylor(zeros=0.99, **prune)),
        Config("SQuantizer W2A4 50%", train.SQuantizer(weight_bits=2, zeros=0.5, per_channel=True)),
        Config("Uniform W4A4", train.Uniform()),
        Config("DFQ budget 4 A4", train.DFQ(budget=4, **search)),
        Config(f"BSQ alpha {alpha:g} A4", train.BSQ(alpha=alpha, interval=epochs / 10, **search)),
    ]
