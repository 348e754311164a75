"""Rewrites that make the graph smaller and leave what it computes unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from . import ops
from .dead import remove_dead_channels
from .graph import Graph, Node
from .twins import share_twins

__all__ = ["PASSES", "find_sum_pools", "optimize"]


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


PASSES: tuple[Callable[[Graph], Graph], ...] = (share_twins, remove_dead_channels, find_sum_pools)
"""The passes in order; a graph verifies itself after each. Twins come first: without channels that
are dead in one of them only, they would be twins no more."""


def optimize(graph: Graph) -> Graph:
    """All passes, once each."""
    for step in PASSES:
        graph = step(graph)
    return graph
