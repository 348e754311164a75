"""The frozen network: integer codes everywhere, the numbers that the circuit computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .ops import (
    ACC_LIMIT,
    AddCodes,
    Bounds,
    Concat,
    Conv,
    FullyConnected,
    Logits,
    MaxPool,
    Op,
    Quantize,
    Staircase,
    SumPool,
    Upsample,
)

if TYPE_CHECKING:
    from .card import Card

__all__ = [
    "ACC_LIMIT",
    "AddCodes",
    "Bounds",
    "Concat",
    "Conv",
    "Frozen",
    "FullyConnected",
    "Logits",
    "MaxPool",
    "Node",
    "Op",
    "Quantize",
    "Staircase",
    "SumPool",
    "Upsample",
]

Int = NDArray[np.int64]
Float = NDArray[np.float32]

_CHUNK = 250


@dataclass(frozen=True)
class Node:
    """An operation, the names of the nodes it reads, and what can come out of it."""

    op: Op
    inputs: tuple[str, ...]
    bounds: Bounds


@dataclass(frozen=True)
class Frozen:
    """A trained network as integers: the function that the exported file defines.

    ``frozen(x)`` takes images (frames, *shape), real numbers as the ONNX graph takes them, and
    gives ``y`` float32 (frames, classes), or (frames, channels, height, width) where the output
    has positions: gain and bias on the last accumulators. A network of several outputs gives a
    tuple. ``facts`` are those of the training that the card needs.

    Every accumulator is below 2^24 in magnitude, so float32 sums are exact; staircases are
    evaluated in float64, and :func:`sqwire.train.check` proves that enough.
    """

    nodes: Mapping[str, Node]
    facts: Mapping[str, Any] | None = None

    @property
    def input(self) -> Quantize:
        """The first node."""
        op = next(iter(self.nodes.values())).op
        assert isinstance(op, Quantize)
        return op

    @property
    def outputs(self) -> tuple[str, ...]:
        """The nodes that give the outputs."""
        return tuple(name for name, node in self.nodes.items() if isinstance(node.op, Logits))

    @property
    def card(self) -> Card:
        """The quantization card; see :func:`sqwire.train.card.card`."""
        from .card import card

        return card(self)

    def __call__(self, x: NDArray[np.generic]) -> Any:
        results = []
        for start in range(0, len(x), _CHUNK):
            values = self._run(x[start : start + _CHUNK])
            results.append([_output(values[name]) for name in self.outputs])
        joined = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        return joined[0] if len(joined) == 1 else tuple(joined)

    def trace(self, x: NDArray[np.generic]) -> dict[str, Int]:
        """The codes after every node, int64 (frames, channels, height, width).

        Named as the nodes of the exported graph: ``conv1`` is an accumulator, ``conv1.act`` the
        codes made of it; without the input and the outputs.
        """
        codes = {}
        for name, value in self._run(x).items():
            if not isinstance(self.nodes[name].op, Quantize | Logits):
                whole = value[:, :, None] if value.ndim == 3 else value
                codes[name] = whole.numpy().astype(np.int64)
        return codes

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """(channels, height, width) of one frame after every node; one less without height."""
        x = np.zeros((1, *self.input.shape), dtype=np.float32)
        return {name: tuple(value.shape[1:]) for name, value in self._run(x).items()}

    def export(self, path: Path | str) -> None:
        """Write QONNX; see :func:`sqwire.train.export`."""
        from .export import export

        export(self, path)

    def _run(self, x: NDArray[np.generic]) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, node in self.nodes.items():
                if node.inputs:
                    values[name] = node.op(*(values[i] for i in node.inputs))
                else:
                    values[name] = node.op(torch.tensor(np.asarray(x, dtype=np.float32)))
        return values


def _output(value: Tensor) -> Float:
    """One output; an array of classes where there is one position only."""
    if value.ndim > 2 and all(size == 1 for size in value.shape[2:]):
        value = value.flatten(1)
    return value.numpy()
