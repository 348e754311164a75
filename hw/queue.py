"""Queue: beats that wait, first in, first out."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .beat import Beat
from .buffer import Buffer
from .folded.memory import Store, plain

__all__ = ["Queue"]


@dataclass(frozen=True)
class Queue:
    """``o[m] = i[m]``; takes exactly ``depth`` beats before any of them leaves.

    Shapes: in and out ``(beats, lanes)``.

    Timing: one beat a cycle. Depth 0 is a wire, without latency; depths 1 and 2 are registers
    with one cycle of latency (2 is a :class:`sqwire.hw.buffer.Buffer`); deeper ones keep all
    but one beat in a memory with a registered read port and have two. Where that is a block RAM,
    a further beat is in a register behind it, and there are three: a block RAM gives its word
    late in the cycle (5.8 ns of an ECP5), and what follows needs the rest.
    A queue deeper than one takes no beat while it is full, even if one leaves: a beat a cycle
    flows through while at least one place stays free.

    Raises
    ------
    ValueError
        If ``depth`` is negative or ``beats`` below one.
    """

    beat: Beat
    depth: int
    beats: int = 1

    def __post_init__(self):
        if self.depth < 0:
            raise ValueError(f"Queue: depth must not be negative, not {self.depth}")
        if self.beats < 1:
            raise ValueError(f"Queue: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return (0, 1, 1, 2)[min(self.depth, 3)] + self.registered

    @property
    def registered(self) -> bool:
        """Is there a register behind its memory."""
        return self.depth >= 3 and self._memory(self.depth - 1).kind == "block"

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memory, as synthesis makes it."""
        return () if self.depth < 3 else (self._memory(self.depth - 1 - self.registered),)

    def _memory(self, words: int) -> Store:
        return plain("fifo", words, self.beat.bits, passed=True)

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        return np.asarray(x, dtype=np.int64)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Queue`.

    Members
    -------
    i : ``In(stream)``
        Beats.
    o : ``Out(stream)``
        The same beats.
    """

    def __init__(self, spec: Queue):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        beat, depth = self.spec.beat, self.spec.depth
        if depth == 0:
            connect(m, flipped(self.i), flipped(self.o))
        elif depth == 1:
            # SyncFIFOBuffered would take a beat only every other cycle here, and at depth 2.
            held = Signal(beat.bits, reset_less=True)
            m.d.comb += [
                self.i.ready.eq(~self.o.valid | self.o.ready),
                self.o.payload.as_value().eq(held),
            ]
            with m.If(self.i.ready):
                m.d.sync += [self.o.valid.eq(self.i.valid), held.eq(self.i.payload)]
        elif depth == 2:
            m.submodules.buffer = buffer = Buffer(beat).create()
            connect(m, flipped(self.i), buffer.i)
            connect(m, buffer.o, flipped(self.o))
        else:
            m.submodules.fifo = queue = fifo.SyncFIFOBuffered(
                width=beat.bits, depth=depth - self.spec.registered
            )
            m.d.comb += [
                queue.w_data.eq(self.i.payload),
                queue.w_en.eq(self.i.valid),
                self.i.ready.eq(queue.w_rdy),
            ]
            payload = self.o.payload.as_value()
            if self.spec.registered:
                held = Signal(beat.bits, reset_less=True)
                m.d.comb += [queue.r_en.eq(~self.o.valid | self.o.ready), payload.eq(held)]
                with m.If(queue.r_en):
                    m.d.sync += [self.o.valid.eq(queue.r_rdy), held.eq(queue.r_data)]
            else:
                m.d.comb += [
                    queue.r_en.eq(self.o.ready),
                    payload.eq(queue.r_data),
                    self.o.valid.eq(queue.r_rdy),
                ]
        return m
