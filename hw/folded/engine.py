"""The folded engine: any fixed sparse map over positions, on a few lanes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arrays import frozen
from ..beat import Beat
from ..ranges import Range
from ..steps import Steps
from . import multiply, requantise
from .check import check
from .collect import Collect
from .fetch import Fetch
from .lane import Lane
from .linebuffer import LineBuffer
from .memory import LUTS_A_BLOCK, Store, pipe
from .program import Program
from .raster import Raster
from .timing import departures, interval_cycles, latest, set_slots
from .walk import Walk

__all__ = ["Folded"]

# So many rows are one LUT RAM deep; more have multiplexers behind them.
_ROWS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Folded:
    """``o[r, c, k] = f_k(bias[k] + sum over (i, j, ch) of weight[k, i, j, ch] *
    x[r*sh - top + i*dh, c*sw - left + j*dw, ch])``, zeros outside the frame.

    Convolutions, grouped and depthwise ones (their weights are mostly zero, and zeros take
    no cycles), fully connected layers (one position).

    Shapes: in ``(height * width * channels / lanes_in, lanes_in)``, out ``(out_height *
    out_width * outputs / lanes_out, lanes_out)``: positions in raster order, and the channels of
    each in their order, ``lanes_in`` (``lanes_out``) a beat. ``program.layout`` has these counts.

    ``steps`` are the functions f, one an output channel; without them accumulators come out.
    ``block_luts`` is how many LUTs a block RAM is worth where memories may be made of both.
    ``reach`` is what the sum of products of each output channel can be, where that is known to be
    less than the range of codes and the weights allow: then accumulators are narrower and f is
    simpler.
    ``multiplier`` is ``"lut"``, ``"dsp"`` or ``"digit"``. ``slots`` is how many positions the
    line buffer holds, a power of two; 0: as many as are needed to start one position while
    the next one is written.

    Timing: a position takes ``position_cycles`` = max(program, input beats, output beats) where
    nothing holds it up: it starts as soon as the last position under its kernel is there, while
    positions behind are written, those before are put out, and the sink keeps up.
    From start to start it takes ``pace_cycles`` at least: so a layer that is faster than the next
    gives its beats as evenly as that takes them. :meth:`departures` gives every cycle. A beat is
    taken while the line buffer has room.

    Raises
    ------
    ValueError
        If sizes make no sense (see :class:`sqwire.hw.folded.raster.Raster`), the program does not
        compute the weights, ``slots`` are too few, or there is not one function and bias a channel.
    """

    height: int
    width: int
    range: Range
    weight: np.ndarray
    program: Program
    bias: np.ndarray | None = None
    steps: tuple[Steps, ...] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right, in positions."""
    dilation: tuple[int, int] = (1, 1)
    multiplier: str = "lut"
    slots: int = 0
    pace_cycles: int = 0
    reach: tuple[Range, ...] | None = None
    block_luts: int = LUTS_A_BLOCK

    def __post_init__(self):
        object.__setattr__(self, "weight", frozen(self.weight))
        if self.weight.ndim != 4:
            raise ValueError(
                f"Folded: weight must be (out, rows, columns, in), not {self.weight.shape}"
            )
        bias = np.zeros(self.channels_out, np.int64) if self.bias is None else self.bias
        object.__setattr__(self, "bias", frozen(bias))
        if self.bias.shape != (self.channels_out,):
            raise ValueError(
                f"Folded: bias must be one an output channel ({self.channels_out}), "
                f"not {self.bias.shape}"
            )
        if self.steps is not None:
            object.__setattr__(self, "steps", tuple(self.steps))
            if len(self.steps) != self.channels_out:
                raise ValueError(
                    f"Folded: steps must be one an output channel ({self.channels_out}), "
                    f"not {len(self.steps)}"
                )
        if self.reach is not None:
            self._check_reach()
        check(self.program, self.weight, products=self.multiplier != "digit")
        multiply.multiplier(self.multiplier, self.range, self.program.values, 1)
        set_slots(self, "Folded")

    def _check_reach(self):
        if len(self.reach) != self.channels_out:
            raise ValueError(
                f"Folded: reach must be one an output channel ({self.channels_out}), "
                f"not {len(self.reach)}"
            )
        for channel, (own, most) in enumerate(zip(self.reach, self._bounds, strict=True)):
            if own.lo < most.lo or own.hi > most.hi:
                raise ValueError(
                    f"Folded: reach of channel {channel} must lie in {most.lo}..{most.hi} "
                    f"(its weights and the range of codes), not {own.lo}..{own.hi}"
                )

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def channels_in(self) -> int:
        """Input channels."""
        return self.weight.shape[3]

    @property
    def channels_out(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @cached_property
    def raster(self) -> Raster:
        """Which positions of the input each output position reads."""
        return Raster(
            self.height, self.width, self.kernel, self.stride, self.padding, self.dilation
        )

    pad_code = 0
    """What is read in the padding."""

    # Ranges.

    @property
    def sum_ranges(self) -> tuple[Range, ...]:
        """For each output channel, the smallest and largest sum of products."""
        return self._bounds if self.reach is None else self.reach

    @cached_property
    def _bounds(self) -> tuple[Range, ...]:
        """What range and weights allow the sums to be."""
        code = self.range
        if any(self.padding):
            code = Range.span([code, Range(0, 0)])
        flat = self.weight.reshape(self.channels_out, -1)
        up, down = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        return tuple(
            Range(u * code.lo + d * code.hi, u * code.hi + d * code.lo)
            for u, d in zip(up.tolist(), down.tolist(), strict=True)
        )

    @property
    def sum_range(self) -> Range:
        """What any sum of products can be."""
        return Range.span(self.sum_ranges)

    @property
    def acc_bits(self) -> int:
        """Width of an accumulator."""
        return self.sum_range.bits

    @cached_property
    def multiply(self) -> Any:
        """How lanes multiply."""
        return multiply.multiplier(
            self.multiplier, self.range, self.program.values, self.program.layout.lanes
        )

    @cached_property
    def requantise(self) -> tuple[Any, ...]:
        """For each channel of a beat, the circuit that makes codes of sums."""
        lanes_out = self.program.layout.lanes_out
        circuits = []
        for element in range(lanes_out):
            ranges = self.sum_ranges[element::lanes_out]
            bias = self.bias[element::lanes_out]
            if self.steps is None:
                circuits.append(requantise.Identity(Range.span(ranges), bias, self.block_luts))
                continue
            steps = tuple(
                Steps(s.thresholds - b, s.levels)
                for s, b in zip(self.steps[element::lanes_out], bias, strict=True)
            )
            multiply = self.multiplier != "digit"
            circuits.append(
                requantise.choose(steps, ranges, multiply=multiply, worth=self.block_luts)
            )
        return tuple(circuits)

    # Streams.

    @property
    def inputs(self):
        return (Beat(self.range, self.program.layout.lanes_in),)

    @cached_property
    def outputs(self):
        levels = Range.span([circuit.levels for circuit in self.requantise])
        return (Beat(levels, self.program.layout.lanes_out),)

    @property
    def beats_position(self) -> int:
        """Input beats a position."""
        return self.channels_in // self.program.layout.lanes_in

    @property
    def channel_beats(self) -> int:
        """Output beats a position."""
        return self.channels_out // self.program.layout.lanes_out

    @property
    def beats_in(self) -> int:
        return self.raster.inputs * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.raster.outputs * self.channel_beats

    # Timing.

    @property
    def position_cycles(self) -> int:
        """Cycles from position to position, where nothing holds them up."""
        return max(self.program.cycles, self.channel_beats, self.pace_cycles)

    @property
    def run_cycles(self) -> int:
        """Cycles from the start of a position in which it reads the line buffer."""
        return self.program.cycles

    @property
    def fetch_cycles(self) -> int:
        """From the counter of the program to the part of its word that is for the banks."""
        return self.fetch_store.read_cycles

    @property
    def compute_cycles(self) -> int:
        """From the cycle of a program word to that in which its products are added."""
        early = 1 if self.read_early else 0
        return self.fetch_cycles + LineBuffer.DELAY + self.multiply.latency_cycles + early

    @property
    def read_early(self) -> bool:
        """Whether accumulators are so many that they are read a cycle before they are added to."""
        return self.program.layout.rows > _ROWS_AT_ONCE

    @property
    def difference_cycle(self) -> int:
        """From the issue of a beat to the difference of its accumulators from those before."""
        return 4 + (self.program.layout.parts - 1).bit_length()

    @property
    def requantise_cycles(self) -> int:
        """Cycles that the slowest channel of a beat takes."""
        return max(circuit.latency_cycles for circuit in self.requantise)

    @property
    def collect_cycles(self) -> int:
        """From the issue of a beat to its being valid at the output."""
        return self.difference_cycle + 1 + self.requantise_cycles + 1

    @property
    def first_cycles(self) -> int:
        """From the start of a position to the issue of its first beat."""
        return self.program.cycles + self.compute_cycles - 1

    @property
    def latency_cycles(self) -> int:
        return 1 + self.first_cycles + self.collect_cycles

    @property
    def settle_cycles(self) -> int:
        """Cycles after a reset in which it takes nothing, at most: a position of zeros runs."""
        return self.first_cycles + self.channel_beats + self.collect_cycles + 8

    def needs(self) -> np.ndarray:
        return np.repeat(self.raster.needs * self.beats_position, self.channel_beats)

    @property
    def rhythm(self) -> tuple:
        """All that says when beats come and go."""
        return (
            self.raster, self.slots, self.buffers, self.beats_position, self.channel_beats,
            self.program.cycles, self.pace_cycles, self.fetch_cycles, self.first_cycles,
            self.collect_cycles,
        )  # fmt: skip

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready.

        ``arrivals`` are the cycles in which input beats are offered, of one or more frames.
        """
        return departures(self, arrivals)

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        return latest(self, leaves)

    @cached_property
    def interval_cycles(self) -> int:
        """Cycles a frame, where frames follow each other as fast as they are taken."""
        return interval_cycles(self)

    @property
    def capacity_beats(self) -> int:
        """Input beats that are taken while no output leaves, at the least.

        From the first one that the next output needs on; those in the padding above and left
        count as taken.
        """
        return (self.slots - self.raster.lead) * self.beats_position

    # Memories.

    @property
    def buffers(self) -> int:
        """Positions of which finished accumulators are kept, so that none waits for the sink."""
        longest = max(self.position_cycles, self.beats_position)
        wanted = -(-(self.first_cycles + self.channel_beats) // longest)
        return max(2, 1 << (wanted - 1).bit_length())

    @property
    def buffer_bits(self) -> int:
        """Bits that tell them apart."""
        return (self.buffers - 1).bit_length()

    @property
    def queue_depth(self) -> int:
        """Output beats for which there is room: as many as are under way at once."""
        return max(16, 1 << (self.collect_cycles + 1).bit_length())

    @property
    def slot_bits(self) -> int:
        """Bits of a position in the line buffer."""
        return (self.slots - 1).bit_length()

    @property
    def address_bits(self) -> int:
        """Bits of an address of a bank."""
        return self.program.local_bits + self.slot_bits

    def _store(self, name, depth, width, rom, copies=1):
        return Store(name, depth, width, rom, copies, self.block_luts)

    @property
    def bank_store(self) -> Store:
        depth = self.slots << self.program.local_bits
        return self._store("banks", depth, self.range.bits, False, self.program.layout.lanes)

    @property
    def acc_store(self) -> Store:
        rows = 1 << self.program.row_bits
        return self._store("accumulators", rows, self.acc_bits, False, self.program.layout.lanes)

    @property
    def done_parts(self) -> int:
        """Memories of finished accumulators in a lane: a LUT RAM is 16 deep, more need a switch."""
        whole = self._store("done", self.buffers << self.program.row_bits, self.acc_bits, False)
        if whole.kind == "block":
            return 1
        return -(-self.buffers // max(1, 16 >> self.program.row_bits))

    @property
    def done_store(self) -> Store:
        rows = (self.buffers // self.done_parts) << self.program.row_bits
        copies = self.program.layout.lanes * self.done_parts
        return self._store("done", rows, self.acc_bits, False, copies)

    @property
    def before_store(self) -> Store:
        width = self.acc_bits * self.program.layout.lanes_out
        return self._store("before", self.channel_beats, width, False)

    @property
    def queue_store(self) -> Store:
        return self._store("queue", self.queue_depth, self.outputs[0].bits, False)

    @property
    def fetch_store(self) -> Store:
        return self._store("fetch", self.program.cycles, self.program.fetch_bits(), True)

    @property
    def execute_store(self) -> Store:
        width = self.program.execute_bits(self.multiply.value_bits)
        return self._store("execute", self.program.cycles, width, True)

    @property
    def bank_rom(self) -> Store:
        layout = self.program.layout
        bits = (layout.ring - 1).bit_length()
        return self._store("bank_of_beat", self.beats_position, bits * layout.lanes_in, True)

    @property
    def lane_rom(self) -> Store:
        layout = self.program.layout
        bits = (layout.group - 1).bit_length() * layout.parts * layout.lanes_out
        return self._store("lane_of_beat", self.channel_beats, bits, True)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories: of what they are made and how large they are."""
        own = [self.bank_store, self.done_store, self.before_store, self.queue_store]
        if self.program.row_bits:
            own.append(self.acc_store)
        own += [self.fetch_store, self.execute_store, self.bank_rom, self.lane_rom]
        for element, circuit in enumerate(self.requantise):
            own += circuit.stores(f"requantise_{element}")
        return tuple(own)

    @property
    def program_bits(self) -> int:
        """Bits of the program."""
        return self.fetch_store.bits + self.execute_store.bits

    @property
    def buffer_size_bits(self) -> int:
        """Bits of the line buffer."""
        return self.bank_store.bits

    @property
    def utilisation(self) -> float:
        """Share of the lanes' cycles in which they add a product, in steady state."""
        return self.program.terms * self.raster.outputs / (
            self.interval_cycles * self.program.layout.lanes
        )  # fmt: skip

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        raster = self.raster
        x = x.reshape(len(x), self.height, self.width, self.channels_in)
        top, left, bottom, right = self.padding
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        largest = max(abs(self.range.lo), abs(self.range.hi), 1)
        exact = np.abs(self.weight).sum(axis=(1, 2, 3)).max() * largest < 2**53
        kind = np.float64 if exact else np.int64  # exact either way; the first is faster
        total = np.zeros((len(x), raster.out_height, raster.out_width, self.channels_out), kind)
        (dh, dw), (sh, sw) = self.dilation, self.stride
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = x[:, i * dh :: sh][:, : raster.out_height]
                under = rows[:, :, j * dw :: sw][:, :, : raster.out_width]
                total += under.astype(kind) @ self.weight[:, i, j].T.astype(kind)
        acc = total.astype(np.int64) + self.bias
        if self.steps is not None:
            acc = np.stack([s(acc[..., c]) for c, s in enumerate(self.steps)], axis=-1)
        return acc.reshape(len(x), self.beats_out, self.program.layout.lanes_out)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Folded`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        Channels of positions.
    """

    def __init__(self, spec: Folded):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        layout = program.layout
        m.submodules.walk = walk = Walk(
            spec.raster, spec.slots, spec.fetch_cycles, spec.pace_cycles
        )
        m.submodules.fetch = fetch = Fetch(spec)
        m.submodules.buffer = buffer = LineBuffer(spec)
        m.submodules.collect = collect = Collect(spec)
        settled = Signal()
        m.d.comb += [
            self.i.ready.eq(walk.room & settled),
            buffer.data.eq(self.i.payload),
            buffer.write.eq(self.i.valid & self.i.ready),
            walk.written.eq(buffer.written),
            walk.whole.eq(buffer.whole),
        ]

        # After a reset accumulators hold rubbish, unless they have never been used: a position
        # of zeros, whose result is dropped, tells the collector from where they go on. Nothing is
        # taken before that, so that cycles counted from the first beat are always the same.
        used, known, warming = Signal(reset_less=True), Signal(), Signal()
        free = Signal(range(-1, spec.buffers), init=spec.buffers - 1)  # the sign says if any
        start, warm = Signal(), Signal()
        m.d.comb += [
            settled.eq(known | ~used),
            warm.eq(used & ~known & ~warming & fetch.idle),
            start.eq(fetch.idle & walk.ready & (free >= 0) & settled & ~warming),
            fetch.start.eq(start | warm),
            walk.start.eq(start),
            walk.finish.eq(fetch.last & ~buffer.blank),
        ]
        m.d.sync += free.eq(free + collect.freed - fetch.start)
        with m.If(start):
            m.d.sync += [used.eq(1), known.eq(1), buffer.blank.eq(0)]
        with m.If(warm):
            m.d.sync += [warming.eq(1), buffer.blank.eq(1)]
        with m.If(warming & collect.freed):
            # The difference of the last beat is taken before a position could give the next.
            m.d.sync += [warming.eq(0), known.eq(1)]
        m.d.comb += collect.drop.eq(warming)

        m.d.comb += [
            buffer.slot.eq(walk.slot),
            buffer.outside_rows.eq(walk.outside_rows),
            buffer.outside_columns.eq(walk.outside_columns),
        ]
        for name in ("rotation", "tap", "local"):
            for a, b in zip(getattr(buffer, name), getattr(fetch, name), strict=True):
                m.d.comb += a.eq(b)

        # The cycle in which products are added, and which position they belong to.
        cycles = spec.compute_cycles
        running = pipe(m, fetch.running, cycles, "running", reset_less=False)
        last = pipe(m, fetch.last, cycles - 2, "last", reset_less=False)
        ended = pipe(m, last, 2, "ended", reset_less=False)
        position = Signal(spec.buffer_bits)
        with m.If(ended):
            m.d.sync += position.eq(position + 1)
        m.d.comb += collect.done.eq(last)
        m.submodules.multiply = products = Module()
        built = spec.multiply.build(products, list(buffer.x), list(fetch.value))
        for number, (product, carry) in enumerate(built):
            lane = Lane(spec, product, carry)
            m.submodules[f"lane_{number}"] = lane
            if carry is not None:
                m.d.comb += lane.carry.eq(carry)
            m.d.comb += [
                lane.product.eq(product),
                lane.row.eq(fetch.row[number]),
                lane.starts.eq(fetch.starts[number // layout.ring]),
                lane.write.eq(running),
                lane.buffer.eq(position),
                lane.show_row.eq(collect.show_row),
                lane.show_buffer.eq(collect.show_buffer),
                lane.show.eq(collect.show[number]),
            ]
            for part, shown in enumerate(lane.shown):
                m.d.comb += collect.shown[number * spec.done_parts + part].eq(shown)
        m.d.comb += [
            self.o.valid.eq(collect.o.valid),
            self.o.payload.eq(collect.o.payload),
            collect.o.ready.eq(self.o.ready),
        ]
        return m
