"""Max pooling of channels that follow each other: the largest code under a kernel."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range
from .layout import Layout
from .linebuffer import LineBuffer
from .memory import Store, pipe, tail
from .program import Program
from .raster import Raster
from .rhythm import interval_cycles
from .slots import bank_words, set_slots
from .timing import apart, arrived_by, starts
from .walk import Walk

__all__ = ["Pool"]


@dataclass(frozen=True, eq=False)
class Pool:
    """``o[r, c, ch] = max over (i, j) of x[r*sh - top + i*dh, c*sw - left + j*dw, ch]``.

    Shapes: in ``(height * width * channels / lanes, lanes)``, out ``(out_height * out_width *
    channels / lanes, lanes)``: positions in raster order, ``lanes`` channels a beat. Positions
    outside the frame never win. One range for both.

    Timing: the codes under the kernel are read one a cycle, so an output position takes
    ``position_cycles`` = kernel places * channels / lanes, while the next input is written; and
    ``pace_cycles`` at least, from start to start. See
    :class:`sqwire.hw.folded.engine.Folded` for what it has in common.

    Raises
    ------
    ValueError
        If sizes make no sense (see :class:`sqwire.hw.folded.raster.Raster`), ``slots`` are too
        few or no such number, or ``lanes`` is no power of two that divides the channels.
    """

    height: int
    width: int
    channels: int
    range: Range
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right, in positions."""
    dilation: tuple[int, int] = (1, 1)
    lanes: int = 1
    slots: int = 0
    pace_cycles: int = 0

    def __post_init__(self):
        if self.channels < 1:
            raise ValueError(f"Pool: channels must be at least 1, not {self.channels}")
        Layout.check(self.lanes, self.lanes, self.channels, self.channels, 1, self.lanes)
        set_slots(self, "Pool")

    @cached_property
    def raster(self) -> Raster:
        """Which positions of the input each output position reads."""
        return Raster(
            self.height, self.width, self.kernel, self.stride, self.padding, self.dilation
        )

    @cached_property
    def program(self) -> Program:
        """What the line buffer asks of a program: where channels are, and which places are read."""
        bank = np.arange(self.channels) % self.lanes
        layout = Layout(self.lanes, self.lanes, bank, bank[None], self.lanes, self.lanes)
        nothing = np.zeros((1, self.lanes), np.int64)
        return Program(
            layout, self.kernel[1], tuple(range(self.kernel[0] * self.kernel[1])), nothing[:, :1],
            nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(), dense=True,
        )  # fmt: skip

    def timed(self, slots: int, pace_cycles: int) -> "Pool":
        """The same with other ``slots`` and ``pace_cycles``."""
        return replace(self, slots=slots, pace_cycles=pace_cycles)

    @property
    def pad_code(self) -> int:
        """What is read in the padding."""
        return self.range.lo

    @property
    def inputs(self):
        return (Beat(self.range, self.lanes),)

    @property
    def outputs(self):
        return (Beat(self.range, self.lanes),)

    @property
    def beats_position(self) -> int:
        """Beats a position."""
        return self.channels // self.lanes

    @property
    def beats_in(self) -> int:
        return self.raster.inputs * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.raster.outputs * self.beats_position

    @property
    def places(self) -> int:
        """Places of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def run_cycles(self) -> int:
        """Cycles in which a position is read."""
        return self.places * self.beats_position

    @property
    def position_cycles(self) -> int:
        """Cycles from position to position, where nothing holds them up."""
        return max(self.run_cycles, self.pace_cycles)

    @property
    def apart_cycles(self) -> int:
        """From the start of a position to that of the next one, at least."""
        return self.pace_cycles

    @property
    def collect_cycles(self) -> int:
        """From the cycle that reads the last place to the beat being valid."""
        return self.fetch_cycles + LineBuffer.DELAY + 2

    @property
    def latency_cycles(self) -> int:
        return 1 + self.places + self.collect_cycles

    def needs(self) -> np.ndarray:
        return np.repeat(self.raster.needs * self.beats_position, self.beats_position)

    @property
    def rhythm(self) -> tuple:
        """All that says when beats come and go."""
        return self.raster, self.slots, self.beats_position, self.pace_cycles

    def timeline(self, arrivals) -> tuple[list[int], list[int], list[int]]:
        """When input positions have come, and outputs are started and leave, but for a constant."""
        ended, started = starts(self, arrivals, self.run_cycles, pace=self.pace_cycles)
        return ended, started, started

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready."""
        first = np.array(self.timeline(arrivals)[1], dtype=np.int64)
        beats = np.arange(1, self.beats_position + 1) * self.places
        return (first[:, None] + beats + self.collect_cycles).reshape(-1)

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        beats, wanted = self.beats_position, np.asarray(leaves, dtype=np.int64)
        after = np.arange(1, beats + 1) * self.places + self.collect_cycles
        first = apart((wanted.reshape(-1, beats) - after).min(axis=1), self.position_cycles)
        return arrived_by(self, first)

    @cached_property
    def interval_cycles(self) -> int:
        """Cycles a frame, where frames follow each other as fast as they are taken."""
        return interval_cycles(self)

    buffers = 1
    fetch_cycles = 2

    @property
    def capacity_beats(self) -> int:
        """Input beats that are taken while no output leaves, see ``Folded.capacity_beats``."""
        return (self.slots - self.raster.lead) * self.beats_position

    @property
    def slot_bits(self) -> int:
        """Bits of a position in the line buffer."""
        return (self.slots - 1).bit_length()

    @property
    def address_bits(self) -> int:
        """Bits of an address of a bank."""
        return self.program.local_bits + self.slot_bits

    @property
    def bank_store(self) -> Store:
        depth = bank_words(self, self.slots)
        return Store("banks", depth, self.range.bits, False, self.lanes)

    @property
    def bank_rom(self) -> Store:
        return Store("bank_of_beat", self.beats_position, 0, True)

    @property
    def queue_store(self) -> Store:
        return Store("queue", 16, self.outputs[0].bits, False)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        return (self.bank_store, self.queue_store)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        x = x.reshape(len(x), self.height, self.width, self.channels)
        top, left, bottom, right = self.padding
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        x = np.pad(x, around, constant_values=self.range.lo)
        (dh, dw), (sh, sw), raster = self.dilation, self.stride, self.raster
        under = [
            x[:, i * dh :: sh, j * dw :: sw][:, : raster.out_height, : raster.out_width]
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        ]
        return np.max(under, axis=0).reshape(len(x), self.beats_out, self.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Pool`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        The largest code of each.
    """

    def __init__(self, spec: Pool):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        m.submodules.walk = walk = Walk(
            spec.raster, spec.slots, spec.fetch_cycles, spec.pace_cycles
        )
        m.submodules.buffer = buffer = LineBuffer(spec)
        m.d.comb += [
            self.i.ready.eq(walk.room),
            buffer.data.eq(self.i.payload),
            buffer.write.eq(self.i.valid & self.i.ready),
        ]
        buffer.follow(m, walk)

        # Places of the kernel, then channels. A channel begins when there is a place for its code.
        place, beat = Signal(range(spec.places)), Signal(range(spec.beats_position))
        places = Signal(range(-1, spec.queue_store.depth), init=spec.queue_store.depth - 1)
        running, step, taken = Signal(), Signal(), Signal()
        last_place = place == spec.places - 1
        first, last = Signal(), Signal()
        m.d.comb += [
            first.eq(place == 0),
            step.eq(running & (~first | (places >= 0))),
            last.eq(step & last_place),
            walk.finish.eq(last & (beat == spec.beats_position - 1)),
            walk.start.eq(walk.ready & (~running | walk.finish)),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += places.eq(places + taken - (step & first))
        with m.If(walk.finish | ~running):
            m.d.sync += running.eq(walk.start)
        with m.If(step):
            m.d.sync += place.eq(Mux(last_place, 0, place + 1))
        with m.If(last):
            m.d.sync += beat.eq(Mux(walk.finish, 0, beat + 1))
        codes = Signal(program.tap_bits)
        with m.Switch(place):
            for number, code in enumerate(program.tap_codes.tolist()):
                with m.Case(number):
                    m.d.comb += codes.eq(code)
        m.d.comb += [
            buffer.tap[0].eq(pipe(m, codes, spec.fetch_cycles, "tap")),
            buffer.local[0].eq(pipe(m, beat, spec.fetch_cycles, "local")),
        ]

        # The largest so far; the first place begins anew.
        late = spec.fetch_cycles + LineBuffer.DELAY
        anew = pipe(m, first, late, "first")
        largest = []
        for lane, code in enumerate(buffer.x):
            best = Signal(spec.range.shape, name=f"largest_{lane}", reset_less=True)
            with m.If(anew | (code > best)):
                m.d.sync += best.eq(code)
            largest.append(best)
        done = pipe(m, last, late + 1, "done", reset_less=False)
        word, some = tail(m, spec.queue_store, Cat(largest), done, taken)
        m.d.comb += [self.o.payload.as_value().eq(word), self.o.valid.eq(some)]
        return m
