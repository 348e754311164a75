"""The integer graph: what a network computes, exactly, and nothing else.

The graph runs (:meth:`Graph.run`), and what it says is the truth every circuit is held to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ports import one_or_all

from .errors import CompileError
from .host import Input, Output
from .ops import Chain, Op, Tensor

__all__ = ["Graph", "Node"]

Int = NDArray[np.int64]
T = TypeVar("T")

# Frames that run together: bounds the memory that windows of large images take.
_CHUNK_CODES = 4_000_000


@dataclass(frozen=True)
class Node:
    """One operator, its name, and the nodes (or inputs of the network) it works on."""

    name: str
    op: Op
    inputs: tuple[str, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        """What comes out of it for these inputs; ValueError if they do not fit.

        The last answer is kept: passes make many graphs that share most of their nodes.
        """
        known = self.__dict__.get("_inferred")
        if known is None or known[0] != inputs:
            known = inputs, self.op.infer(*inputs)
            self.__dict__["_inferred"] = known
        return known[1]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order between inputs and outputs.

    Nodes refer to each other by name and to an input by its ``source``; an output names the node
    (or the input) that it delivers. Frame ``n`` of one input belongs to frame ``n`` of all others.

    Raises
    ------
    CompileError
        If :meth:`verify` fails.
    """

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        self.verify()

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def input(self) -> Input:
        """The input of a network that has just one; ValueError if it has several."""
        return _only("input", self.inputs)

    @property
    def output(self) -> Output:
        """The output of a network that has just one; ValueError if it has several."""
        return _only("output", self.outputs)

    @property
    def sources(self) -> tuple[str, ...]:
        """The names by which nodes refer to the network's inputs."""
        return tuple(input.source for input in self.inputs)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The shape and the ranges of each input, and of what comes out of each node."""
        tensors = {input.source: input.tensor for input in self.inputs}
        for node in self.nodes:
            try:
                tensors[node.name] = node.infer(*(tensors[name] for name in node.inputs))
            except ValueError as error:
                raise CompileError(f'Node "{node.name}": {error}') from error
        return tensors

    def uses(self) -> Counter[str]:
        """How many readers each input and each node has, outputs of the network among them."""
        read = Counter(name for node in self.nodes for name in node.inputs)
        return read + Counter(output.node for output in self.outputs)

    def verify(self) -> None:
        """Check that names are unique, inputs exist, shapes fit and nothing is left unused."""
        if not self.inputs or not self.nodes or not self.outputs:
            raise CompileError("Graph: it must have an input, a node and an output at least")
        seen = set[str]()
        for name in (*self.sources, *(node.name for node in self.nodes)):
            if name in seen or not name:
                raise CompileError(f'Graph: names must be unique, not "{name}" twice')
            seen.add(name)
        seen = set(self.sources)
        for node in self.nodes:
            for name in node.inputs:
                if name not in seen:
                    raise CompileError(
                        f'Node "{node.name}": input "{name}" must come before it; '
                        "order the nodes topologically"
                    )
            seen.add(node.name)
        for output in self.outputs:
            if output.node not in seen:
                raise CompileError(
                    f'Output "{output.name}": it must be a node or an input, not "{output.node}"'
                )
        uses = self.uses()
        unused = [name for name in self.tensors if not uses[name]]
        if unused:
            raise CompileError(f"Graph: all of it must be used, not {', '.join(unused)} unused")
        for output in self.outputs:
            output.check(self.tensors[output.node])

    def lowered(self) -> Iterator[tuple[Node, Chain]]:
        """Each node with its chain of hardware operators."""
        for node in self.nodes:
            yield node, node.op.lower(*(self.tensors[name] for name in node.inputs))

    @cached_property
    def _chains(self) -> tuple[tuple[Node, Chain], ...]:
        return tuple(self.lowered())

    def trace(self, *codes: Int) -> dict[str, Int]:
        """The codes that come out of every node, for input codes (frames, height, width, channels).

        Takes one array for each input.

        Raises
        ------
        ValueError
            If a shape is not the input's, a code lies outside its range, or the inputs do not hold
            as many frames.
        """
        self.check(*codes)
        values = self._values(codes)
        return {node.name: values[node.name] for node in self.nodes}

    def run(self, *codes: Int) -> Int | tuple[Int, ...]:
        """The output codes for input codes of shape (frames, height, width, channels).

        Takes one array for each input; gives one array, or a tuple where there are several
        outputs. Errors as for :meth:`trace`.
        """
        self.check(*codes)
        largest = max(t.positions * t.channels for t in self.tensors.values())
        step = max(1, _CHUNK_CODES // (9 * largest))
        wanted = [output.node for output in self.outputs]
        results = [[np.zeros((0, *self.tensors[name].shape), dtype=np.int64)] for name in wanted]
        for at in range(0, len(codes[0]), step):
            values = self._values([x[at : at + step] for x in codes])
            for name, parts in zip(wanted, results, strict=True):
                parts.append(values[name])
        return one_or_all([np.concatenate(parts) for parts in results])

    def check(self, *codes: Int) -> None:
        """Refuse codes of the wrong shape, outside the range, or of another number of frames."""
        if len(codes) != len(self.inputs) or len({len(x) for x in codes}) != 1:
            raise ValueError(
                f"Graph: codes must be {len(self.inputs)} arrays of as many frames, not of "
                f"{', '.join(str(len(x)) for x in codes) or 'none'}"
            )
        for input, x in zip(self.inputs, codes, strict=True):
            input.check(x)

    def _values(self, codes: Sequence[Int]) -> dict[str, Int]:
        """What every input and every node holds."""
        values = dict(zip(self.sources, codes, strict=True))
        count = len(codes[0])
        for node, chain in self._chains:
            beats = [values[name].reshape(count, -1, values[name].shape[-1])
                     for name in node.inputs]  # fmt: skip
            result = chain[0][1].compute(*beats)
            for _, spec in chain[1:]:
                result = spec.compute(result)
            values[node.name] = result.reshape(count, *self.tensors[node.name].shape)
        return values

    def __eq__(self, other: object) -> bool:
        from .codec import to_json

        return isinstance(other, Graph) and to_json(self) == to_json(other)

    def __hash__(self) -> int:
        return hash(tuple(node.name for node in self.nodes))


def _only(what: str, several: tuple[T, ...]) -> T:
    if len(several) != 1:
        raise ValueError(f"Graph: it must have one {what} for this, not {len(several)}")
    return several[0]
