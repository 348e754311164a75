"""The integer graph: what a network computes, exactly, and nothing else.

The graph runs (:meth:`Graph.run`), and what it says is the truth every circuit is held to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import CompileError
from .host import Input, Output
from .ops import Chain, Op, Tensor

__all__ = ["INPUT", "Graph", "Node"]

Int = NDArray[np.int64]

INPUT = ""
"""The name by which nodes refer to the network's input."""

# Frames that run together: bounds the memory that windows of large images take.
_CHUNK_CODES = 4_000_000


@dataclass(frozen=True)
class Node:
    """One operator, its name, and the nodes (or :data:`INPUT`) it works on."""

    name: str
    op: Op
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order between one input and one output; the last node is the output.

    Raises
    ------
    CompileError
        If :meth:`verify` fails.
    """

    input: Input
    nodes: tuple[Node, ...]
    output: Output

    def __post_init__(self) -> None:
        self.verify()

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def sources(self) -> tuple[str, ...]:
        """The names by which nodes refer to the network's inputs."""
        return (INPUT,)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The shape and the ranges that come out of each node, and of :data:`INPUT`."""
        tensors = {INPUT: self.input.tensor}
        for node in self.nodes:
            try:
                tensors[node.name] = node.op.infer(*(tensors[name] for name in node.inputs))
            except ValueError as error:
                raise CompileError(f'Node "{node.name}": {error}') from error
        return tensors

    def verify(self) -> None:
        """Check that names are unique, inputs exist, shapes fit and nothing is left unused."""
        seen, used = {INPUT}, set[str]()
        for node in self.nodes:
            if node.name in seen or not node.name:
                raise CompileError(f'Graph: node names must be unique, not "{node.name}" twice')
            for name in node.inputs:
                if name not in seen:
                    raise CompileError(
                        f'Node "{node.name}": input "{name}" must come before it; '
                        "order the nodes topologically"
                    )
            seen.add(node.name)
            used.update(node.inputs)
        if not self.nodes:
            raise CompileError("Graph: it must have at least one node, not none")
        unused = [n.name for n in self.nodes[:-1] if n.name not in used]
        if unused:
            raise CompileError(f"Graph: every node must be used, not {', '.join(unused)} unused")
        self.output.check(self.tensors[self.nodes[-1].name])

    def lowered(self) -> Iterator[tuple[Node, Chain]]:
        """Each node with its chain of hardware operators."""
        for node in self.nodes:
            yield node, node.op.lower(*(self.tensors[name] for name in node.inputs))

    @cached_property
    def _chains(self) -> tuple[tuple[Node, Chain], ...]:
        return tuple(self.lowered())

    def trace(self, codes: Int) -> dict[str, Int]:
        """The codes that come out of every node, for input codes (frames, height, width, channels).

        Raises
        ------
        ValueError
            If the shape is not the input's or a code lies outside its range.
        """
        self.input.check(codes)
        values: dict[str, Int] = {INPUT: codes}
        for node, chain in self._chains:
            beats = [values[name].reshape(len(codes), -1, values[name].shape[-1])
                     for name in node.inputs]  # fmt: skip
            result = chain[0][1].compute(*beats)
            for _, spec in chain[1:]:
                result = spec.compute(result)
            values[node.name] = result.reshape(len(codes), *self.tensors[node.name].shape)
        del values[INPUT]
        return values

    def run(self, codes: Int) -> Int:
        """The output codes for input codes of shape (frames, height, width, channels)."""
        largest = max(t.positions * t.channels for t in self.tensors.values())
        step = max(1, _CHUNK_CODES // (9 * largest))
        last = self.nodes[-1].name
        parts = [self.trace(codes[at : at + step])[last] for at in range(0, len(codes), step)]
        if not parts:
            return np.zeros((0, *self.tensors[last].shape), dtype=np.int64)
        return np.concatenate(parts)

    def __eq__(self, other: object) -> bool:
        from .codec import to_json

        return isinstance(other, Graph) and to_json(self) == to_json(other)

    def __hash__(self) -> int:
        return hash(tuple(node.name for node in self.nodes))
