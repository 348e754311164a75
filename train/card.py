"""The quantization card: what a frozen network stores, counted bit by bit."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .frozen import Conv, Frozen, FullyConnected, Logits, Staircase

__all__ = ["Card", "Layer", "card"]

FLOAT_BITS = 32


@dataclass(frozen=True)
class Layer:
    """A layer with weights, or an addition with none.

    Stored are ``weight_bits`` (sign included) a nonzero weight; where these stand, as a bitmask
    (a bit a weight) or an index (an address a nonzero), whichever is smaller; and ``constants``,
    float32 gains and biases of the staircase or the logits, scales and batch norm in one.
    """

    name: str
    shape: tuple[int, ...]
    weights: int
    nonzeros: int
    weight_bits: int
    act_bits: int | None
    act_signed: bool | None
    accumulator: tuple[int, int]
    constants: int

    @property
    def zeros(self) -> float:
        """Share of the weights that are zero."""
        return 1 - self.nonzeros / self.weights if self.weights else 0.0

    @property
    def bitmask_bits(self) -> int:
        """Bits of a mask over all weights."""
        return self.weights

    @property
    def index_bits(self) -> int:
        """Bits of an address for every nonzero weight."""
        return self.nonzeros * math.ceil(math.log2(self.weights)) if self.weights > 1 else 0

    @property
    def position(self) -> Literal["bitmask", "index"]:
        """The cheaper way to say where the nonzero weights are."""
        return "index" if self.index_bits < self.bitmask_bits else "bitmask"

    @property
    def stored_bits(self) -> int:
        """All bits of the layer."""
        where = min(self.index_bits, self.bitmask_bits)
        return self.nonzeros * self.weight_bits + where + self.constants * FLOAT_BITS


@dataclass(frozen=True)
class Card:
    """What was trained, how, and how much smaller it is. ``facts`` are those of the run."""

    layers: tuple[Layer, ...]
    input_bits: int
    facts: dict[str, Any]

    @property
    def weights(self) -> int:
        """Weights of all layers, zeros included."""
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Weights that are not zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def zeros(self) -> float:
        """Share of all weights that are zero."""
        return 1 - self.nonzeros / self.weights

    @property
    def compression(self) -> float:
        """Honest: float bits of the weights over all bits stored for every layer."""
        return FLOAT_BITS * self.weights / sum(layer.stored_bits for layer in self.layers)

    @property
    def papers_compression(self) -> float:
        """As papers count: nonzero weights only; where they stand and all constants are free."""
        stored = sum(layer.nonzeros * layer.weight_bits for layer in self.layers)
        return FLOAT_BITS * self.weights / stored if stored else math.inf

    def to_json(self) -> str:
        """The card as text; the same card gives the same text."""
        layers = [
            {
                **asdict(layer),
                "zeros": layer.zeros,
                "position": layer.position,
                "bitmask_bits": layer.bitmask_bits,
                "index_bits": layer.index_bits,
                "stored_bits": layer.stored_bits,
            }
            for layer in self.layers
        ]
        document = {
            "weights": self.weights,
            "nonzeros": self.nonzeros,
            "zeros": self.zeros,
            "compression": self.compression,
            "papers_compression": self.papers_compression,
            "input_bits": self.input_bits,
            "weight_grid": "symmetric, zero-anchored, one scale a layer, folded into the staircase",
            "rounding": "half to even",
            "batch_norm": "folded into the staircase",
            "layers": layers,
            **self.facts,
        }
        return json.dumps(document, indent=2) + "\n"

    def save(self, path: Path | str) -> None:
        """Write :meth:`to_json` to a file."""
        Path(path).write_text(self.to_json())


def card(network: Frozen, facts: dict[str, Any] | None = None) -> Card:
    """The card of a frozen network, with ``facts`` about its training."""
    layers = tuple(
        _layer(network, node.inputs[0], node.op)
        for node in network.nodes.values()
        if isinstance(node.op, Staircase | Logits)
    )
    return Card(layers, network.input.bits, facts or {})


def _layer(network: Frozen, name: str, after: Staircase | Logits) -> Layer:
    """The layer whose accumulator is ``name``, with the staircase or the logits made of it."""
    op, bounds = network.nodes[name].op, network.nodes[name].bounds
    weight: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    bits = 0
    if isinstance(op, Conv | FullyConnected):
        weight, bits = op.weight, op.bits
    if isinstance(after, Logits):
        constants = 1 + len(after.bias)
    else:
        constants = 0 if after.plain else 2 * len(after.steps)
    return Layer(
        name=name,
        shape=weight.shape if weight.size else (),
        weights=weight.size,
        nonzeros=int(np.count_nonzero(weight)),
        weight_bits=bits,
        act_bits=after.bits if isinstance(after, Staircase) else None,
        act_signed=not after.relu if isinstance(after, Staircase) else None,
        accumulator=(int(bounds.low.min()), int(bounds.high.max())),
        constants=constants,
    )
