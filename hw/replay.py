"""Replay: every row of a frame several times, and every position of it: the circuit of upsampling.

:class:`sqwire.hw.resize.Resize` and :class:`sqwire.hw.depthtospace.DepthToSpace` describe what it
computes.
"""

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .delay import delay, delay_stores
from .folded.memory import Store
from .raster import counter

__all__ = ["Replay", "needs", "stores"]


def needs(height: int, width: int, times: tuple[int, int]) -> np.ndarray:
    """How many input beats each output beat of a :class:`Replay` waits for."""
    rows, columns = np.arange(height * times[0])[:, None], np.arange(width * times[1])[None, :]
    row, again = rows // times[0], rows % times[0] > 0
    return (row * width + np.where(again, width, columns // times[1] + 1)).reshape(-1)


def stores(incoming, outgoing, width, times, *, parts) -> tuple[Store, ...]:
    """The memory of the :class:`Replay` with these arguments, as synthesis makes it."""
    if times[0] == 1:
        return ()
    bits = incoming.bits - outgoing.bits * times[1] if parts else outgoing.bits
    return delay_stores("line", width, bits)


class Replay(wiring.Component):
    """Each of ``width`` positions of a row ``times[1]`` times, the whole row ``times[0]`` times.

    With ``parts`` a beat holds ``times[0] * times[1]`` parts side by side, those for one row
    together, and each time another one of them is shown; without, each time all of it.

    The first time a row passes from the input, and also into a memory as long as the row; the other
    times it comes out of that and goes in again, except for what has been shown.

    Timing: one output beat a cycle, valid one cycle after its input beat. No input is taken while
    a row is repeated.

    Members
    -------
    i : ``In(stream)``
        Positions in raster order.
    o : ``Out(stream)``
        Positions of the larger frame, in raster order.
    """

    def __init__(self, incoming, outgoing, width, times, *, parts):
        self.width, self.times, self.parts = width, times, parts
        super().__init__({"i": In(incoming.signature), "o": Out(outgoing.signature)})

    def elaborate(self, platform):
        m = Module()
        bits = len(self.o.payload.as_value())
        group = bits * self.times[1] if self.parts else bits  # what is shown of a beat in one row
        held = Signal(group, reset_less=True)
        free, load = Signal(), Signal()
        first = Signal(init=1)  # the next beat to be held comes from the input
        _, last_turn = counter(m, self.o.valid & self.o.ready, self.times[1], "turn")
        _, row_ends = counter(m, load, self.width, "column")
        _, last_pass = counter(m, load & row_ends, self.times[0], "passes")
        m.d.comb += [
            free.eq(~self.o.valid | (self.o.ready & last_turn)),
            self.i.ready.eq(free & first),
            load.eq(free & (self.i.valid | ~first)),
            self.o.payload.as_value().eq(held[:bits]),
        ]
        with m.If(free):
            m.d.sync += self.o.valid.eq(load)

        word = self.i.payload.as_value()
        if self.times[0] > 1:
            with m.If(load & row_ends):
                m.d.sync += first.eq(last_pass)
            rest = Signal(len(word) - group if self.parts else group)
            line = delay(m, load, rest, self.width, name="line")
            if self.parts:
                m.d.comb += rest.eq(Mux(first, word[group:], line[group:]))
            else:
                m.d.comb += rest.eq(Mux(first, word, line))
            word = Mux(first, word[:group], line[:group])
        with m.If(load):
            m.d.sync += held.eq(word)
        if self.parts:
            with m.Elif(self.o.ready):
                m.d.sync += held.eq(held >> bits)
        return m
