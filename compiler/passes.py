"""Rewrites that make the graph smaller and leave what it computes unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sqwire.hw.steps import Steps

from . import ops
from .graph import Graph, Node
from .twins import share_twins

__all__ = ["PASSES", "find_sum_pools", "optimize", "remove_dead_channels"]


def remove_dead_channels(graph: Graph) -> Graph:
    """Drop the channels of a ``Linear`` and its ``Staircase`` that can matter to nobody.

    That is where everything that reads the staircase is a ``Linear`` without a weight on the
    channel, and no output of the network, or where the channel is always 0 (a filter with no
    weights left). The weights of the readers shrink alike. From the outputs to the inputs, so that
    what one removal orphans is found in the same sweep.
    """
    for node in reversed(graph.nodes):
        if isinstance(node.op, ops.Staircase):
            graph = _shrink(graph, node)
    return graph


def _shrink(graph: Graph, node: Node) -> Graph:
    """``graph`` without the dead channels of the staircase ``node``."""
    source = graph[node.inputs[0]] if node.inputs[0] in graph else None
    readers = [n for n in graph.nodes if node.name in n.inputs]
    uses = graph.uses()
    if (
        source is None
        or not isinstance(source.op, ops.Linear)
        or uses[source.name] != 1
        or uses[node.name] != len(readers)
        or not all(isinstance(n.op, ops.Linear) for n in readers)
    ):
        return graph
    assert isinstance(node.op, ops.Staircase)
    used = np.zeros(len(node.op.steps), dtype=bool)
    for reader in readers:
        assert isinstance(reader.op, ops.Linear)
        used |= reader.op.weight.any(axis=(0, 1, 2))
    ranges = graph.tensors[node.name].ranges
    used &= np.array([r.lo != 0 or r.hi != 0 for r in ranges])
    if not used.any():
        used[0] = True  # a tensor keeps at least one channel
    if used.all():
        return graph
    kept = np.flatnonzero(used)
    steps: tuple[Steps, ...] = tuple(node.op.steps[k] for k in kept)
    new: dict[str, ops.Op] = {
        source.name: replace(source.op, weight=source.op.weight[kept], bias=source.op.bias[kept]),
        node.name: ops.Staircase(steps),
    }
    for reader in readers:
        assert isinstance(reader.op, ops.Linear)
        new[reader.name] = replace(reader.op, weight=reader.op.weight[..., kept])
    nodes = (replace(n, op=new[n.name]) if n.name in new else n for n in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def find_sum_pools(graph: Graph) -> Graph:
    """A ``Linear`` that only adds up each channel under kernels side by side is a ``SumPool``."""

    def found(node: Node) -> Node:
        op = node.op
        if not isinstance(op, ops.Linear) or op.kernel == (1, 1):
            return node
        ones = np.eye(len(op.weight), op.weight.shape[3], dtype=np.int64)[:, None, None]
        alike = len(op.weight) == op.weight.shape[3] and (op.weight == ones).all()
        height, width, _ = graph.tensors[node.inputs[0]].shape
        side_by_side = all(map(ops.beside, (height, width), op.kernel, op.stride))
        if (
            not alike
            or not side_by_side
            or op.dilation != (1, 1)
            or any(op.padding)
            or op.bias.any()
        ):
            return node
        return replace(node, op=ops.SumPool(op.kernel))

    return replace(graph, nodes=tuple(found(node) for node in graph.nodes))


PASSES: tuple[Callable[[Graph], Graph], ...] = (remove_dead_channels, find_sum_pools, share_twins)
"""The passes in order; a graph verifies itself after each."""


def optimize(graph: Graph) -> Graph:
    """All passes, once each."""
    for step in PASSES:
        graph = step(graph)
    return graph
