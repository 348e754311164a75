"""Channels that can matter to nobody, taken out of a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from . import ops
from .graph import Graph, Node
from .narrow import LANES

__all__ = ["remove_dead_channels"]

Mask = NDArray[np.bool_]

# Each channel on its own: what comes out of it depends on that channel of each input alone.
_CHANNELWISE = (
    ops.Staircase, ops.Add, ops.MaxPool, ops.SumPool, ops.Pad, ops.Dilate, ops.Resize,
    ops.Bilinear, ops.Median, ops.Alternate, ops.Every,
)  # fmt: skip
# Operators without weights work on so many channels at a time, if all channels are a multiple.
_LANES = max(LANES)


def remove_dead_channels(graph: Graph) -> Graph:
    """Drop the channels that no weight reads on any way to an output, or that are always 0.

    What lies between two ``Linear`` loses them together: sums, concatenations, pools, upsampling.
    Filters whose outputs go are dropped, and the weights that read them. Inputs and outputs of the
    network and what works across channels keep all of theirs, and every tensor at least one. Where
    an operator without weights could take 2, 4 or 8 channels at a time, it still can.
    """
    kept = _kept(graph)
    if all(mask.all() for mask in kept.values()):
        return graph
    return replace(graph, nodes=tuple(_shrunk(node, kept) for node in graph.nodes))


def _kept(graph: Graph) -> dict[str, Mask]:
    """For each tensor the channels that must stay."""
    kept = {name: np.zeros(t.channels, dtype=bool) for name, t in graph.tensors.items()}
    for name in (*graph.sources, *(output.node for output in graph.outputs)):
        kept[name][:] = True
    reads = {
        node.name: node.op.weight.any(axis=(1, 2)) & _ever(graph, node.inputs[0])
        for node in graph.nodes
        if isinstance(node.op, ops.Linear)
    }
    while _spread(graph.nodes, kept, reads) or _filled(graph, kept):
        pass
    return kept


def _filled(graph: Graph, kept: dict[str, Mask]) -> bool:
    """Keep more of the channels, where they would be none or too odd a number; says if so."""
    multiples = dict.fromkeys(kept, 1)
    for node in graph.nodes:
        if not isinstance(node.op, ops.Linear | ops.Staircase):
            multiples |= {name: math.gcd(_LANES, len(kept[name])) for name in node.inputs}
    more = False
    for name, mask in kept.items():
        missing = -int(mask.sum()) % multiples[name] or int(not mask.any())
        mask[np.flatnonzero(~mask)[:missing]] = True
        more |= missing > 0
    return more


def _ever(graph: Graph, name: str) -> Mask:
    """The channels that are not always 0."""
    return np.array([r.lo != 0 or r.hi != 0 for r in graph.tensors[name].ranges])


def _spread(nodes: Sequence[Node], kept: dict[str, Mask], reads: dict[str, Mask]) -> bool:
    """Keep what a kept channel needs or goes with; says if that is more than before."""
    before = sum(int(mask.sum()) for mask in kept.values())
    for node in reversed(nodes):
        out, parts = kept[node.name], [kept[name] for name in node.inputs]
        match node.op:
            case ops.Linear():
                parts[0] |= reads[node.name][out].any(axis=0)
            case ops.Concat():
                out |= np.concatenate(parts)
                ends = np.cumsum([len(part) for part in parts])[:-1]
                for part, own in zip(parts, np.split(out, ends), strict=True):
                    part |= own
            case _ if isinstance(node.op, _CHANNELWISE):
                together = np.any([out, *parts], axis=0)
                for mask in (out, *parts):
                    mask |= together
            case _:
                for mask in (out, *parts):
                    mask[:] = True
    return sum(int(mask.sum()) for mask in kept.values()) > before


def _shrunk(node: Node, kept: dict[str, Mask]) -> Node:
    out = kept[node.name]
    match node.op:
        case ops.Linear(weight=weight, bias=bias):
            rows = weight[out][..., kept[node.inputs[0]]]
            return replace(node, op=replace(node.op, weight=rows, bias=bias[out]))
        case ops.Staircase(steps=steps):
            own = tuple(one for one, stays in zip(steps, out, strict=True) if stays)
            return replace(node, op=ops.Staircase(own))
    return node
