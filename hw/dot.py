"""Sparse constant dot product: weights are wires, one position a cycle."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from . import adders
from .arrays import frozen, product
from .beat import Beat
from .folded.memory import Store
from .netlist import Netlist, Word
from .pipeline import Pipeline, endless, endless_store
from .ranges import Range

__all__ = ["Dot"]

# Integers are int64 wherever they are computed in numpy.
_MOST = 1 << 62
# Adders of more bits than this never stop: holding them all in one cycle would take too long.
_ENDLESS_BITS = 8192


@dataclass(frozen=True, eq=False)
class Dot:
    """``o[r] = bias[r] + sum over l of weight[r, l] * i[l]`` for each beat.

    Shapes: ``weight`` (rows, lanes), ``bias`` (rows), ``ranges`` one a lane (what each input
    can be); in ``(beats, lanes)``, out ``(beats, rows)``. Any integers.

    Each row's output range is the exact interval of its accumulator, see :attr:`row_ranges`.

    Timing: one beat a cycle; ``latency_cycles`` is the depth of the adder graph, every adder
    followed by a register (chains of unregistered adders are merged and remapped badly by
    Yosys). The whole pipeline stops while the output is held; a large one, where that would have
    to reach too far in a cycle, never stops, and has a queue behind it and a cycle more
    (:func:`sqwire.hw.pipeline.endless`).

    Raises
    ------
    ValueError
        If the shapes disagree.
    """

    weight: np.ndarray
    bias: np.ndarray
    ranges: tuple[Range, ...]
    beats: int = 1

    def __post_init__(self):
        object.__setattr__(self, "weight", frozen(self.weight))
        object.__setattr__(self, "bias", frozen(self.bias))
        object.__setattr__(self, "ranges", tuple(self.ranges))
        if self.weight.ndim != 2 or min(self.weight.shape) < 1:
            raise ValueError(f"Dot: weight must be (rows, lanes), not {self.weight.shape}")
        rows, lanes = self.weight.shape
        if len(self.ranges) != lanes:
            raise ValueError(f"Dot: ranges must be one a lane ({lanes}), not {len(self.ranges)}")
        if self.bias.shape != (rows,):
            raise ValueError(f"Dot: bias must be one a row ({rows}), not {self.bias.shape}")

    @cached_property
    def row_ranges(self) -> tuple[Range, ...]:
        """For each row, the smallest and the largest value its accumulator reaches."""
        largest = max(max(abs(r.lo), abs(r.hi)) for r in self.ranges)
        bound = max(np.abs(self.weight).astype(np.float64).sum(axis=1)) * largest
        if bound + float(np.abs(self.bias).max()) > _MOST:
            raise ValueError(
                f"Dot: accumulators must stay below 2**62, and could reach {bound:.3g}; "
                "use fewer bits"
            )
        lo = np.array([r.lo for r in self.ranges], dtype=np.int64)
        hi = np.array([r.hi for r in self.ranges], dtype=np.int64)
        up, down = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        return tuple(
            Range(low, high)
            for low, high in zip(
                (up @ lo + down @ hi + self.bias).tolist(),
                (up @ hi + down @ lo + self.bias).tolist(),
                strict=True,
            )
        )

    @property
    def inputs(self):
        return (Beat(Range.span(self.ranges), len(self.ranges)),)

    @property
    def outputs(self):
        return (Beat(Range.span(self.row_ranges), len(self.bias)),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @cached_property
    def graph(self) -> adders.AdderGraph:
        """The adders. Each row with a bias has a constant input of its own, after the lanes."""
        biased = np.flatnonzero(self.bias)
        columns = np.zeros((len(self.bias), len(biased)), dtype=np.int64)
        columns[biased, np.arange(len(biased))] = 1
        constants = [Range(b, b) for b in self.bias[biased].tolist()]
        return adders.build(np.hstack([self.weight, columns]), [*self.ranges, *constants])

    @cached_property
    def sum_cycles(self) -> int:
        """From a beat to its sums."""
        return self.graph.depth + any(out.negate for out in self.graph.outputs)

    @cached_property
    def endless(self) -> bool:
        """Whether its adders never stop."""
        own = self.graph.ranges[len(self.graph.ranges) - len(self.graph.ops) :]
        return sum(r.bits for r in own) > _ENDLESS_BITS

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memory, as synthesis makes it."""
        return (endless_store(self.sum_cycles, self.outputs[0].bits),) if self.endless else ()

    @property
    def latency_cycles(self) -> int:
        return self.sum_cycles + self.endless

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        largest = max(max(abs(r.lo), abs(r.hi)) for r in self.ranges)
        return product(np.asarray(x, dtype=np.int64), self.weight, largest) + self.bias

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Dot`.

    Members
    -------
    i : ``In(stream)``
        One code a lane.
    o : ``Out(stream)``
        One accumulator a row.
    """

    def __init__(self, spec: Dot):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m, netlist = Module(), _netlist(self.spec)
        if not self.spec.endless:
            pipeline = Pipeline(m, [self.i], self.o, self.spec.latency_cycles)
            netlist.place(
                m, platform,
                enable=pipeline.advance, i=self.i.payload.as_value(), o=self.o.payload.as_value(),
            )  # fmt: skip
            return m

        def sums(codes):
            result = Signal(self.spec.outputs[0].bits, name="sums")
            netlist.place(m, platform, enable=Const(1), i=codes, o=result)
            return result

        endless(m, self.i, self.o, self.spec.sum_cycles, sums)
        return m


def _netlist(spec: Dot) -> Netlist:
    """The adders of ``spec`` and the registers behind each."""
    graph = spec.graph
    beat = spec.inputs[0]
    netlist = Netlist(beat.bits)
    values = []
    for lane, own in enumerate(spec.ranges):
        # No wider than the lane's own range: the beat is as wide as the widest.
        if own.size == 1:
            values.append(Word.constant(own.lo, own.bits, signed=own.lo < 0))
        else:
            start = lane * beat.range.bits
            values.append(netlist.input(start, own.bits, signed=own.lo < 0))
    for own in graph.ranges[len(values) : len(graph.ranges) - len(graph.ops)]:
        values.append(Word.constant(own.lo, own.bits, signed=own.lo < 0))
    pipeline = _Pipeline(netlist, values, graph.depths)

    for number, op in enumerate(graph.ops, start=len(values)):
        # Cycle d: the adders of depth d read what was registered one cycle before.
        depth = graph.depths[number]
        a, b = pipeline.at(op.a, depth - 1), pipeline.at(op.b, depth - 1)
        own = graph.ranges[number]
        total = _sum(netlist, a, b, op, own.bits, signed=own.lo < 0)
        pipeline.stages.append({depth: netlist.register(total)})

    negated = spec.sum_cycles > graph.depth  # one more stage if any row comes out negated
    lane = spec.outputs[0].range
    rows = []
    for out in graph.outputs:
        row = Word.constant(0, 1, signed=False)
        if out.value is not None:
            row = pipeline.at(out.value, graph.depth)
            if out.negate:
                row = netlist.negate(row, row.width + 1)
            row = row.shift(out.shift).resize(lane.bits, signed=row.signed)
            if negated:
                row = netlist.register(row)
        rows.append(row.extend(lane.bits))
    netlist.output = Word.join(rows)
    return netlist


class _Pipeline:
    """Values by the cycle in which they are wanted; delays are made once and shared."""

    def __init__(self, netlist, values, depths):
        self.netlist = netlist
        self.stages = [{depth: value} for value, depth in zip(values, depths, strict=False)]

    def at(self, number, depth):
        stages = self.stages[number]
        latest = max(stages)
        if stages[latest].is_constant:
            return stages[latest]
        while latest < depth:
            stages[latest + 1] = self.netlist.register(stages[latest])
            latest += 1
        return stages[depth]


def _sum(netlist, a, b, op, width, *, signed):
    """The adder of ``op``, no wider than where both operands overlap.

    Below the shift only the other operand has bits, and they pass beside the carry chain.
    """
    if op.a_shift and op.subtract:
        return netlist.subtract(a.shift(op.a_shift), b, width, signed=signed)
    if op.a_shift:
        a, b = b, a
    low = op.a_shift or op.b_shift
    combine = netlist.subtract if op.subtract else netlist.add
    if not low:
        return combine(a, b, width, signed=signed)
    if width <= low:  # only bits of the other operand are left
        return a.extend(width).slice(0, width, signed=signed)
    a = a.extend(low + 1)
    high = combine(a.slice(low, a.width, signed=a.signed), b, width - low, signed=signed)
    return Word(a.slice(0, low).parts + high.parts, signed)
