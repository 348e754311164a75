"""Which layers can be folded, and a folded layer from what was chosen for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.memory import LUTS_A_BLOCK
from sqwire.hw.folded.program import Program
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps

from . import ops
from .graph import Graph, Node
from .ops import Tensor
from .schedule import digits, schedule

__all__ = ["Fold", "Unit", "units"]


@dataclass(frozen=True)
class Fold:
    """How a layer is folded: ``lanes`` multiply-accumulate units in rings of ``ring``.

    ``parts`` is in how many lanes each output is summed, ``lanes_in`` and ``lanes_out`` are
    channels a beat, ``slots`` positions in the line buffer (0: as few as keep it busy). A
    ``dense`` program holds zeros too, and no addresses. A position takes ``pace_cycles`` at least,
    so that a layer gives its beats as evenly as the next one takes them. ``block_luts`` is how many
    LUTs a memory may take in place of a block RAM. With ``by_input`` each lane has inputs of its
    own and sums its part of all outputs, in place of all of some.
    """

    lanes: int
    ring: int
    parts: int = 1
    lanes_in: int = 1
    lanes_out: int = 1
    multiplier: str = "lut"
    slots: int = 0
    dense: bool = False
    pace_cycles: int = 0
    block_luts: int = LUTS_A_BLOCK
    by_input: bool = False


@dataclass(frozen=True, eq=False)
class Unit:
    """A linear map, on ``tensor``, with the staircase behind it where nobody else reads the sums.

    ``last`` is the node whose codes it puts out.
    """

    node: Node
    tensor: Tensor
    op: ops.Linear
    last: Node
    steps: tuple[Steps, ...] | None
    sums: Tensor
    """What the map gives."""

    @property
    def positions(self) -> int:
        """Output positions a frame."""
        return self.sums.positions

    @property
    def nonzeros(self) -> int:
        """Weights that take a cycle of a lane at each position."""
        return int(np.count_nonzero(self.op.weight))

    @cached_property
    def signed_digits(self) -> int:
        """Signed powers of two in all its weights."""
        values = self.op.weight[self.op.weight != 0]
        return len(digits(values)[1]) if len(values) else 0

    def dense_cycles(self, chosen: Fold) -> int:
        """Cycles a position takes a program that holds zeros too."""
        taps = int((self.op.weight != 0).any(axis=(0, 3)).sum())
        channels = -(-self.tensor.channels // chosen.ring) * chosen.ring
        group = chosen.lanes // (chosen.lanes_out * chosen.parts)
        rows = -(-len(self.op.weight) // chosen.lanes_out // group)
        return max(taps, 1) * channels // chosen.parts * rows

    def fold(self, chosen: Fold, fabric: str = "ecp5") -> Folded:
        """The folded engine for this layer, of what ``fabric`` names.

        Raises
        ------
        ValueError
            If lanes, rings and channels do not divide as they must.
        """
        # What the program does not depend on.
        program = self._program(
            replace(
                chosen,
                multiplier="digit" if chosen.multiplier == "digit" else "lut",
                slots=0,
                pace_cycles=0,
                block_luts=LUTS_A_BLOCK,
            )
        )
        return Folded(
            height=self.tensor.height,
            width=self.tensor.width,
            range=self.tensor.range,
            weight=self.op.weight,
            program=program,
            bias=self.op.bias,
            steps=self.steps,
            stride=self.op.stride,
            padding=self.op.padding,
            dilation=self.op.dilation,
            multiplier=chosen.multiplier,
            slots=chosen.slots,
            pace_cycles=chosen.pace_cycles,
            reach=self._reach,
            block_luts=chosen.block_luts,
            fabric=fabric,
        )

    @cached_property
    def _reach(self) -> tuple[Range, ...]:
        """What sums of products can be, by the range of each channel."""
        bias = self.op.bias.tolist()
        return tuple(
            Range(own.lo - b, own.hi - b) for own, b in zip(self.sums.ranges, bias, strict=True)
        )

    @cached_property
    def _programs(self) -> dict[Fold, Program]:
        return {}

    def _program(self, chosen: Fold) -> Program:
        if chosen not in self._programs:
            self._programs[chosen] = schedule(
                self.op.weight,
                chosen.lanes,
                chosen.ring,
                parts=chosen.parts,
                lanes_in=chosen.lanes_in,
                lanes_out=chosen.lanes_out,
                in_digits=chosen.multiplier == "digit",
                dense=chosen.dense or None,
                by_input=chosen.by_input,
            )
        return self._programs[chosen]


def units(graph: Graph) -> Iterator[Unit]:
    """The layers that can be folded, in the order of the graph."""
    uses = graph.uses()
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, ops.Linear):
            continue
        last, steps = node, None
        readers = [n for n in graph.nodes if node.name in n.inputs]
        if uses[node.name] == 1 and readers and isinstance(readers[0].op, ops.Staircase):
            (last,), steps = readers, readers[0].op.steps
        out = graph.tensors[node.name]
        yield Unit(node, graph.tensors[node.inputs[0]], op, last, steps, out)
