"""Layers that do the same to several tensors, built once and used in turn."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from . import ops
from .graph import Graph, Node

__all__ = ["share_twins"]


def share_twins(graph: Graph) -> Graph:
    """Build once what does the same to several tensors, as the towers of a stereo network do.

    The columns of the tensors alternate on their way through the layers, whose kernels skip those
    of the others: a dilation of as many columns. That is done where layers take one column at a
    time, where the result still has no more positions than the largest tensor of the network, so
    that it is no slower, and where there are more weights to share than bits to switch over.
    """
    most = max(tensor.positions for tensor in graph.tensors.values())
    for name in [node.name for node in graph.nodes]:
        if name in graph and isinstance(graph[name].op, ops.Linear) and _is_shared(graph[name].op):
            chain = _chain(graph, _twins(graph, graph[name]))
            if chain and _pays(graph, chain, most):
                graph = _shared(graph, chain)
    return graph


Twins = tuple[str, ...]
"""Nodes with one operator, and inputs of one shape and range."""


def _is_shared(op: ops.Op) -> bool:
    return isinstance(op, ops.Staircase) or (isinstance(op, ops.Linear) and op.stride[1] == 1)


def _twins(graph: Graph, node: Node) -> Twins:
    """``node`` and those behind it that do the same to something else, and not to what comes of
    another."""
    (source,) = node.inputs
    found = {source: node.name}
    below = {node.name}
    names = [other.name for other in graph.nodes]
    for other in graph.nodes[names.index(node.name) + 1 :]:
        if any(name in below for name in other.inputs):
            below.add(other.name)
        elif (
            _alike(node.op, other.op)
            and other.inputs[0] not in found
            and graph.tensors[other.inputs[0]] == graph.tensors[source]
        ):
            found[other.inputs[0]] = other.name
            below.add(other.name)
    return tuple(found.values())


def _chain(graph: Graph, twins: Twins) -> list[Twins]:
    """``twins`` and what follows them as long as it is the same for all, and nobody looks on."""
    chain = []
    uses = graph.uses()
    readers = {name: node for node in graph.nodes for name in node.inputs}
    while len(twins) > 1:
        chain.append(twins)
        following = [readers.get(name) for name in twins]
        first = following[0]
        if any(uses[name] != 1 for name in twins) or first is None or not _is_shared(first.op):
            break
        nodes = [node for node in following if node is not None and _alike(node.op, first.op)]
        if len(nodes) < len(twins) or len({node.name for node in nodes}) < len(twins):
            break
        twins = tuple(node.name for node in nodes)
    return chain


def _pays(graph: Graph, chain: Sequence[Twins], most: int) -> bool:
    count = len(chain[0])
    source = graph.tensors[graph[chain[0][0]].inputs[0]]
    tensors = [source, *(graph.tensors[twins[0]] for twins in chain)]
    if max(tensor.positions for tensor in tensors) * count > most:
        return False
    linears = [op for twins in chain if isinstance(op := graph[twins[0]].op, ops.Linear)]
    weights = sum(int(np.count_nonzero(op.weight)) for op in linears)
    return (count - 1) * weights > count * source.channels * source.range.bits


def _shared(graph: Graph, chain: Sequence[Twins]) -> Graph:
    """``graph`` with one node in place of each of ``chain``, and what leads there and back."""
    first, last, count = chain[0], chain[-1], len(chain[0])
    nodes = {node.name: node for node in graph.nodes}
    merged = _fresh(f"{first[0]}.twins", graph)
    nodes[merged] = Node(merged, ops.Alternate(), tuple(nodes[n].inputs[0] for n in first))
    before = merged
    for own, *others in chain:
        op = nodes[own].op
        nodes[own] = Node(own, _apart(op, count) if isinstance(op, ops.Linear) else op, (before,))
        for name in others:
            del nodes[name]
        before = own
    parts = {name: _fresh(f"{last[0]}.twin{k + 1}", graph) for k, name in enumerate(last)}
    for name, node in nodes.items():
        if name not in last:
            inputs = tuple(parts.get(source, source) for source in node.inputs)
            nodes[name] = replace(node, inputs=inputs)
    for k, part in enumerate(parts.values()):
        nodes[part] = Node(part, ops.Every(k, count), (last[0],))
    outputs = tuple(replace(o, node=parts.get(o.node, o.node)) for o in graph.outputs)
    return Graph(graph.inputs, tuple(_in_order(nodes.values())), outputs)


def _fresh(name: str, graph: Graph) -> str:
    """A name that no node has."""
    while name in graph or name in graph.sources:
        name += "_"
    return name


def _apart(op: ops.Linear, count: int) -> ops.Linear:
    """``op`` where between neighbours in a row there are columns of ``count - 1`` others."""
    (rows, columns), (top, left, bottom, right) = op.dilation, op.padding
    padding = top, left * count, bottom, right * count
    return replace(op, dilation=(rows, columns * count), padding=padding)


def _in_order(nodes: Iterable[Node]) -> Iterator[Node]:
    """Inputs before what reads them, else as they come."""
    by_name = {node.name: (number, node) for number, node in enumerate(nodes)}
    missing = {
        name: {i for i in node.inputs if i in by_name} for name, (_, node) in by_name.items()
    }
    readers: dict[str, list[str]] = {name: [] for name in by_name}
    for name, inputs in missing.items():
        for source in inputs:
            readers[source].append(name)
    ready = [by_name[name][0] for name, inputs in missing.items() if not inputs]
    heapq.heapify(ready)
    ordered = [node for _, node in by_name.values()]
    while ready:
        node = ordered[heapq.heappop(ready)]
        yield node
        for reader in readers[node.name]:
            missing[reader].discard(node.name)
            if not missing[reader]:
                heapq.heappush(ready, by_name[reader][0])


def _alike(a: ops.Op, b: ops.Op) -> bool:
    """Whether two operators do the same."""
    if type(a) is not type(b):
        return False
    if isinstance(a, ops.Linear) and isinstance(b, ops.Linear):
        settings = (a.stride, a.padding, a.dilation) == (b.stride, b.padding, b.dilation)
        return settings and np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    if isinstance(a, ops.Staircase) and isinstance(b, ops.Staircase):
        return a.steps == b.steps
    return False
