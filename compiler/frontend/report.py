"""A network as the compiler sees it: a row a layer, and every reason why it would be refused."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sqwire.hw.ranges import Range

from .. import ops
from ..graph import Graph, Node
from ..ops import Tensor
from .context import Context

__all__ = ["End", "Inspection", "Row", "ends", "rows"]


@dataclass(frozen=True)
class Row:
    """One node of the integer graph.

    ``weights`` counts those that the file holds, ``zeros`` the zero ones among them; ``macs`` are
    the multiplications with weights for one frame, zero weights included.
    """

    layer: str
    operator: str
    shape: tuple[int, int, int]
    """Height, width, channels of what comes out."""
    lo: int
    hi: int
    bits: int
    weights: int = 0
    zeros: int = 0
    weight_bits: int = 0
    macs: int = 0
    engine: str = "spatial"


@dataclass(frozen=True)
class End:
    """An input or an output of the network."""

    name: str
    """What the file calls it."""
    node: str
    """The node that gives an output its integers; nothing for an input."""
    shape: tuple[int, int, int]
    """Height, width, channels of the integers."""
    lo: int
    hi: int


@dataclass(frozen=True)
class Inspection:
    """What :func:`sqwire.compiler.frontend.inspect` found."""

    rows: tuple[Row, ...]
    reasons: tuple[str, ...]
    """Why the network would be refused; none if it would not."""
    inputs: tuple[End, ...] = ()
    """In the order of the file; those that no output depends on are left out."""
    outputs: tuple[End, ...] = ()
    notes: tuple[str, ...] = ()
    """What else to know: inputs that are left out."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "inputs": [asdict(end) for end in self.inputs],
            "outputs": [asdict(end) for end in self.outputs],
            "layers": [asdict(row) for row in self.rows],
            "weights": sum(row.weights for row in self.rows),
            "macs": sum(row.macs for row in self.rows),
            "refused": list(self.reasons),
            "notes": list(self.notes),
        }


def ends(graph: Graph) -> tuple[tuple[End, ...], tuple[End, ...]]:
    """The inputs and the outputs of a network."""
    inputs = tuple(_end(source.name, "", source.tensor) for source in graph.inputs)
    outputs = tuple(_end(o.name, o.node, graph.tensors[o.node]) for o in graph.outputs)
    return inputs, outputs


def _end(name: str, node: str, tensor: Tensor) -> End:
    return End(name, node, tensor.shape, tensor.range.lo, tensor.range.hi)


def rows(context: Context, nodes: tuple[Node, ...]) -> tuple[Row, ...]:
    """A row for each of ``nodes``."""
    return tuple(_row(context, node, context.tensors[node.name]) for node in nodes)


def _row(context: Context, node: Node, tensor: Tensor) -> Row:
    row = Row(
        node.name,
        type(node.op).__name__,
        tensor.shape,
        tensor.range.lo,
        tensor.range.hi,
        tensor.range.bits,
    )
    if not isinstance(node.op, ops.Linear) or node.name not in context.weights:
        return row
    weight = node.op.weight
    count = context.weights[node.name]
    return replace(
        row,
        weights=count,
        zeros=count - int(np.count_nonzero(weight)),
        weight_bits=Range(min(0, int(weight.min())), max(0, int(weight.max()))).bits,
        macs=count * math.prod(tensor.shape[:2]),
    )
