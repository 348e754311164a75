"""Hardware of operators without weights: for all channels of a position at once, or for a few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqwire.hw.beat import Beat
from sqwire.hw.crop import Crop
from sqwire.hw.folded.argmax import ArgMax
from sqwire.hw.folded.depthtospace import DepthToSpace
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.pad import Pad
from sqwire.hw.ranges import Range
from sqwire.hw.serialdot import SerialDot

from . import ops
from .cost import cost
from .graph import Graph, Node
from .ops import Chain, Tensor, beside

__all__ = ["DIGITS", "LANES", "Streams", "cycles_of", "pace_of"]

LANES = (1, 2, 4, 8)
"""How many channels a beat of a narrow stream has."""
DIGITS = (1, 2)
"""How many bits of a sum narrow adders make in a cycle; of more they are no smaller."""
_ROWS_LEFT = 4
# What a multiplier and a block RAM are worth in LUTs where an operator can do without.
_DSP, _BRAM = 40.0, 250.0


def cycles_of(spec: Any) -> int:
    """Cycles a frame takes an operator, where nothing holds it up."""
    return int(getattr(spec, "interval_cycles", 0) or max(spec.beats_in, spec.beats_out))


def pace_of(graph: Graph, folded: Sequence[Any]) -> int:
    """Cycles a frame takes the slowest of the ``folded`` layers, or a position a cycle.

    Where nothing is folded, that of the input: then no stream is taken apart, and none spread.
    """
    if not folded:
        return max(input.tensor.positions for input in graph.inputs)
    positions = (tensor.positions for tensor in graph.tensors.values())
    return max(*positions, *(spec.interval_cycles for spec in folded), 1)


class Streams:
    """The hardware of the nodes of a graph; what has been made once is kept.

    ``wide`` is for each node the chain that takes all channels of a position in a beat,
    ``fabric`` what memories and multipliers are made of.
    """

    def __init__(self, graph: Graph, fabric: str = "ecp5"):
        self.graph, self.fabric = graph, fabric
        self.wide = {node.name: chain for node, chain in graph.lowered()}
        self._known: dict[tuple[str, int], Chain | None] = {}
        self._chosen: dict[tuple[str, int, int], Chain] = {}
        self._serial: dict[tuple[str, int], Chain] = {}

    def chain(self, node: Node, lanes: int, pace: int) -> Chain:
        """What does the work of ``node`` on streams of ``lanes`` channels a beat, or more.

        Of those that do it within ``pace`` cycles a frame, that with the fewest channels a beat; or
        fewer than ``lanes``, where taking beats apart is cheaper than taking them whole.
        """
        key = node.name, lanes, pace
        if key not in self._chosen:
            self._chosen[key] = self._choose(node, lanes, pace)
        return self._chosen[key]

    def digit_bits(self, node: Node, pace: int) -> int:
        """How many bits of its sums a linear map may take in a cycle, as wires: as few as there is
        time for, 0 for all at once."""
        tensor = self.graph.tensors[node.name]
        if tensor.height > min(input.tensor.height for input in self.graph.inputs):
            return 0  # rows that are repeated come without a gap
        time = min(self._apart(tensor, pace), pace // tensor.positions)
        bits = tensor.range.bits
        # Between two sums no digit comes for a cycle.
        return next((d for d in DIGITS if d < bits and -(-bits // d) < time), 0)

    def spatial(self, node: Node, pace: int) -> Chain:
        """A linear map as wires, with narrow adders where they have the time and are cheaper."""
        *front, (name, dot) = wide = self.wide[node.name]
        digit_bits = self.digit_bits(node, pace)
        if not digit_bits:
            return wide
        key = node.name, digit_bits
        if key not in self._serial:
            narrow = (*front, (name, SerialDot(dot, digit_bits)))
            self._serial[key] = min(wide, narrow, key=_worth)
        return self._serial[key]

    def _choose(self, node: Node, lanes: int, pace: int) -> Chain:
        if isinstance(node.op, ops.Linear):
            return self.spatial(node, pace)
        tensors = self._parted(node)
        best = self.wide[node.name]
        for own in LANES:
            if any(tensor.channels % own for tensor in tensors):
                continue
            if all(tensor.channels == own for tensor in tensors):
                break
            made = self._narrow(node, own)
            if made is None or max(cycles_of(spec) for _, spec in made) > pace:
                continue
            if own >= lanes:
                return _paced(made, self.spread(pace))
            if all(tensor.channels // own <= self._apart(tensor, pace) for tensor in tensors):
                best = min(best, made, key=_worth)
        return _paced(best, self.spread(pace))

    def spread(self, pace: int) -> int:
        """Over how many cycles the positions of an input are spread.

        A few rows are left over, for what layers put out behind the last position.
        """
        height = min(input.tensor.height for input in self.graph.inputs)
        return pace * height // (height + _ROWS_LEFT)

    def _apart(self, tensor: Tensor, pace: int) -> int:
        """Cycles from position to position, in a row, of what spatial layers make of an input."""
        inputs = [input.tensor for input in self.graph.inputs]
        spread, most = self.spread(pace), max(tensor.positions for tensor in inputs)
        width = min(tensor.width for tensor in inputs)
        # Gaps between positions differ by a cycle at most, and so do those of several together.
        return spread * (width // tensor.width) // most if spread >= 2 * most else 0

    def tensors(self, node: Node) -> list[Tensor]:
        """What ``node`` works on."""
        return [self.graph.tensors[name] for name in node.inputs]

    def _parted(self, node: Node) -> list[Tensor]:
        """Tensors of which a narrow ``node`` has a few channels in a beat: what it works on, or
        what it makes where it needs all at once."""
        if isinstance(node.op, ops.CostVolume):
            return [self.graph.tensors[node.name]]
        return self.tensors(node)

    def lanes(self, folds: Mapping[str, Any], pace: int) -> Iterator[tuple[Node, Chain]]:
        """The nodes without weights and their chains, where ``folds`` are the folded layers.

        ``folds`` holds, by the node of the linear map, its unit and its engine.
        """
        lanes = {input.source: input.tensor.channels for input in self.graph.inputs}
        last = {unit.last.name: spec for unit, _, spec in folds.values()}
        for node in self.graph.nodes:
            if node.name in last:
                lanes[node.name] = last[node.name].outputs[0].lanes
                continue
            if node.name in folds or isinstance(node.op, ops.Linear):
                lanes[node.name] = self.graph.tensors[node.name].channels
                continue
            own = max(lanes[name] for name in node.inputs)
            if isinstance(node.op, ops.Flatten) and own < self.tensors(node)[0].channels:
                lanes[node.name] = own
                continue
            chain = self.chain(node, own, pace)
            lanes[node.name] = chain[-1][1].outputs[0].lanes
            yield node, chain

    def _narrow(self, node: Node, lanes: int) -> Chain | None:
        key = node.name, lanes
        if key not in self._known:
            try:
                self._known[key] = _narrow(node.op, self.tensors(node), lanes, self.fabric)
            except ValueError:
                self._known[key] = None
        return self._known[key]


def _narrow(op: ops.Op, tensors: Sequence[Tensor], lanes: int, fabric: str) -> Chain | None:
    """``op`` on streams of ``lanes`` channels a beat; None where it wants all at once."""
    tensor = tensors[0]
    beat, beats = Beat(tensor.range, lanes), tensor.channels // lanes
    size = tensor.height, tensor.width, tensor.channels, tensor.range
    match op:
        case ops.Add():
            return op.lower(*(_as_positions(tensor, lanes) for tensor in tensors))
        case ops.Staircase():
            return _staircase(op, tensor, lanes, fabric)
        case ops.SumPool():
            return (("sumpool", Reduce(*size, op.kernel, lanes)),)
        case ops.MaxPool() if _side_by_side(op, tensor):
            return (("maxpool", Reduce(*size, op.kernel, lanes, largest=True)),)
        case ops.MaxPool():
            pool = Pool(*size, op.kernel, op.stride, op.padding, op.dilation, lanes)
            return (("pool", pool),)
        case ops.Pad():
            top, left, bottom, right = op.padding
            wider = ops.Pad((top, left * beats, bottom, right * beats), op.code)
            return wider.lower(_as_positions(tensor, lanes))
        case ops.Dilate():
            dilated = Pad(tensor.height, tensor.width, beat, stride=op.stride, group=beats)
            return (("dilate", dilated),)
        case ops.DepthToSpace():
            space = DepthToSpace(*size, op.block, lanes, op.mode == "CRD" and op.block > 1)
            return (("space", space),)
        case ops.ArgMax() if lanes == 1:
            return (("argmax", ArgMax(tensor.range, tensor.channels, op.last, tensor.positions)),)
        case ops.Resize():
            up = Upsample(tensor.height, tensor.width, beat, beats, op.factor)
            return (("resize", up),)
        case ops.Alternate() | ops.CostVolume():
            return op.narrow(tensors, lanes)
        case ops.Every() | ops.Median() | ops.SubpixelArgMax():
            return op.narrow(tensor, lanes)
        case ops.Concat():
            op.lower(*tensors)
            parts = tuple(Beat(t.range, lanes) for t in tensors)
            counts = tuple(t.channels // lanes for t in tensors)
            return (("concat", Interleave(parts, counts, tensor.positions)),)
        case ops.Select():
            first, count = op.channels[0], len(op.channels)
            end = first + count
            if op.channels != tuple(range(first, end)) or math.gcd(first, count, lanes) < lanes:
                return None
            edges = (0, first // lanes, 0, (tensor.channels - end) // lanes)
            return (("crop", Crop(tensor.positions, beats, beat, edges)),)
    return None


def _side_by_side(op: ops.MaxPool, tensor: Tensor) -> bool:
    """Whether no position lies under two kernels, or between them."""
    return (
        op.dilation == (1, 1)
        and not any(op.padding)
        and all(map(beside, (tensor.height, tensor.width), op.kernel, op.stride))
    )


def _staircase(op: ops.Staircase, tensor: Tensor, lanes: int, fabric: str) -> Chain:
    """One circuit for all channels that share a function, else one whose constants change."""
    own = op.steps[:lanes]
    if all(steps == own[c % lanes] for c, steps in enumerate(op.steps)):
        return ops.Staircase(own).lower(_as_positions(tensor, lanes))
    ways = [
        Functions(op.steps, tensor.ranges, lanes, tensor.positions, multiply, fabric)
        for multiply in (False, True)
    ]
    return (("functions", min(ways, key=lambda spec: _worth((("", spec),)))),)


def _paced(chain: Chain, pace: int) -> Chain:
    """A pool gives its positions as evenly as the frame allows."""
    (name, spec), *others = chain
    if isinstance(spec, Pool):
        slow = replace(spec, pace_cycles=pace // spec.raster.outputs)
        if slow.interval_cycles <= pace:
            return (name, slow), *others
    return chain


def _worth(chain: Chain) -> float:
    own = cost(spec for _, spec in chain)
    return own.luts + _DSP * own.dsps + _BRAM * own.brams


def _as_positions(tensor: Tensor, lanes: int) -> Tensor:
    """``tensor`` as a stream of ``lanes`` channels a beat has it: as if it were wider."""
    ranges = tuple(Range.span(tensor.ranges[lane::lanes]) for lane in range(lanes))
    return Tensor(tensor.height, tensor.width * tensor.channels // lanes, ranges)
