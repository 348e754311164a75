"""Frames from the host, or parts of them: kept until known to be right, then fed on."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .format import Format

__all__ = ["Intake", "index"]


class Intake(wiring.Component):  # type: ignore[misc]
    """A ring of bytes between the line and the network, with room for ``credits`` messages:
    frames, or parts of frames in their order.

    Each has a byte in front that says whether it is packed. Its bytes are written as they
    come and count only when ``commit`` says that the message was right; ``rollback`` forgets
    them. What counts is read bit by bit, and each position offered to the network once
    all its channels are there: of a message that was not whole the network never sees anything.
    A frame in parts is begun only while fewer than ``credits`` of those begun have no result.

    Timing: a transfer into the network takes ``channels * (bits + 2) + 2`` cycles and 2 more a
    byte, which is faster than any line brings it; it waits as long as the network does.

    Members
    -------
    open, packed
        A message begins; in a packed one, codes follow without a gap
        (:class:`sqwire.boards.link.format.Format`).
    store, data
        A byte of its codes.
    commit, rollback : ``In(1)``
        The message is right, or is not.
    done : ``In(1)``
        The result of a frame is out.
    fed : ``Out(1)``
        A message is in the network.
    tdata, tvalid, tready, tlast
        To the network; ``tlast`` at the end of a frame.
    """

    def __init__(self, frame: Format, credits: int) -> None:
        self.frame, self.credits = frame, credits
        self.waiting = Signal(range(credits + 1))  # messages that count and are not fed
        self.inside = Signal(range(credits + 1))  # frames in parts that were begun, without result
        self.position, self.of_part = index(frame.positions), index(frame.part)
        super().__init__(
            {
                "open": In(1),
                "store": In(1),
                "data": In(8),
                "commit": In(1),
                "rollback": In(1),
                "packed": In(1),
                "done": In(1),
                "fed": Out(1),
                "tdata": Out(8 * frame.lane_bytes * frame.channels),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        depth = self.credits * (1 + self.frame.message_bytes(packed=False))
        m.submodules.ring = ring = Memory(shape=8, depth=depth, init=[])
        write, read = ring.write_port(), ring.read_port()

        # Writing: `base` is where the message that is coming began.
        base = index(depth)
        at = index(depth)
        m.d.comb += [
            write.addr.eq(at),
            write.data.eq(Mux(self.open, self.packed, self.data)),
            write.en.eq(self.open | self.store),
        ]
        with m.If(write.en):
            m.d.sync += at.eq(Mux(at == depth - 1, 0, at + 1))
        with m.If(self.commit):
            m.d.sync += base.eq(at)
        with m.If(self.rollback):
            m.d.sync += at.eq(base)

        waiting, some = self.waiting, Signal()
        m.d.sync += waiting.eq(waiting + self.commit - self.fed)
        m.d.sync += some.eq((waiting != 0) & ~self.fed)
        self._feed(m, read, depth, some)
        return m

    def _feed(self, m: Any, read: Any, depth: int, some: Signal) -> None:
        frame = self.frame
        lane_bits = 8 * frame.lane_bytes
        byte, bits = Signal(8), Signal(range(9))  # what is left of the byte that was read
        lane, lane_filled = Signal(lane_bits), Signal(range(lane_bits + 1))
        channel = index(frame.channels)
        position, of_part = self.position, self.of_part
        packed = Signal()
        last_channel = channel == frame.channels - 1
        last_position = position == frame.positions - 1
        last, free, begun = last_position, Const(1), Signal()
        if frame.is_cut:
            between = Signal(init=1)
            last = last_position | (of_part == frame.part - 1)
            free = ~between | (self.inside != self.credits)
            m.d.sync += self.inside.eq(self.inside + begun - self.done)

        # A packed code has come in at the top; below it is rubbish.
        code = lane[lane_bits - frame.bits :]
        value = Signal(lane_bits)
        m.d.comb += value.eq(Mux(packed, code.as_signed() if frame.signed else code, lane))
        step, following = index(depth), index(depth)
        m.d.sync += following.eq(Mux(step == depth - 1, 0, step + 1))
        m.d.comb += [read.addr.eq(step), self.tlast.eq(last_position)]
        with m.FSM():
            with m.State("START"):
                m.d.sync += [bits.eq(0), lane_filled.eq(0), channel.eq(0)]
                if not frame.is_cut:
                    m.d.sync += position.eq(0)
                with m.If(some & free):
                    m.d.sync += [packed.eq(read.data[0]), step.eq(following)]
                    m.next = "SHIFT"
                    if frame.is_cut:
                        m.d.comb += begun.eq(between)
                        m.d.sync += between.eq(0)
            with m.State("FETCH"):
                # The address has been there since the cycle before; take the byte, go on.
                m.d.sync += [byte.eq(read.data), bits.eq(8), step.eq(following)]
                m.next = "SHIFT"
            with m.State("SHIFT"):
                with m.If(lane_filled == Mux(packed, frame.bits, lane_bits)):
                    m.next = "LANE"
                with m.Elif(bits == 0):
                    m.next = "FETCH"
                with m.Else():
                    m.d.sync += [
                        lane.eq(Cat(lane[1:], byte[0])),
                        byte.eq(byte >> 1),
                        bits.eq(bits - 1),
                        lane_filled.eq(lane_filled + 1),
                    ]
            with m.State("LANE"):
                m.d.sync += [
                    self.tdata.eq(Cat(self.tdata, value)[lane_bits:]),
                    lane_filled.eq(0),
                    channel.eq(Mux(last_channel, 0, channel + 1)),
                ]
                m.next = "SHIFT"
                with m.If(last_channel):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.tvalid.eq(1)
                with m.If(self.tready):
                    m.next = "TAKEN"
            with m.State("TAKEN"):
                # A cycle of its own, so that little hangs on the network's `ready`.
                m.d.sync += position.eq(Mux(last_position, 0, position + 1))
                m.d.comb += self.fed.eq(last)
                m.next = "SHIFT"
                with m.If(last):
                    m.next = "START"
                if frame.is_cut:
                    m.d.sync += of_part.eq(Mux(last, 0, of_part + 1))
                    m.d.sync += between.eq(last_position)


def index(count: int) -> Signal:
    """A register for numbers below ``count``; never of no bits, for which Verilog has no name."""
    return Signal(range(max(count, 2)), src_loc_at=1)
