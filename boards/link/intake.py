"""Frames from the host: kept until they are known to be right, then fed to the network."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .payloads import Format

__all__ = ["Intake"]


class Intake(wiring.Component):  # type: ignore[misc]
    """A ring of bytes between the line and the network, with room for ``credits`` frames.

    The bytes of a frame are written as they come and count only when ``commit`` says that the
    message was right; ``rollback`` forgets them. A frame that counts is read bit by bit, and
    each position offered to the network once all its channels are there: of a frame that was
    not whole the network never sees anything.

    Timing: a transfer into the network takes ``channels * (bits + 2) + 1`` cycles and 2 more a
    byte, which is faster than any line brings it; it waits as long as the network does.

    Members
    -------
    open : ``In(1)``
        A frame begins here.
    store, data
        A byte of it.
    commit, rollback : ``In(1)``
        The frame is right, or is not.
    packed : ``In(1)``
        With ``commit``: codes follow without a gap (:class:`sqwire.boards.link.payloads.Format`).
    tdata, tvalid, tready, tlast
        To the network.
    """

    def __init__(self, frame: Format, credits: int) -> None:
        self.frame, self.credits = frame, credits
        super().__init__(
            {
                "open": In(1),
                "store": In(1),
                "data": In(8),
                "commit": In(1),
                "rollback": In(1),
                "packed": In(1),
                "tdata": Out(8 * frame.lane_bytes * frame.channels),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        depth = self.credits * self.frame.frame_bytes(packed=False)
        m.submodules.ring = ring = Memory(shape=8, depth=depth, init=[])
        write, read = ring.write_port(), ring.read_port()

        # Writing: `base` is where the frame that is coming began.
        base = Signal(range(depth))
        at = Signal(range(depth))
        m.d.comb += [write.addr.eq(at), write.data.eq(self.data), write.en.eq(self.store)]
        with m.If(self.store):
            m.d.sync += at.eq(Mux(at == depth - 1, 0, at + 1))
        with m.If(self.commit):
            m.d.sync += base.eq(at)
        with m.If(self.rollback):
            m.d.sync += at.eq(base)

        # Which frame is packed: one bit for each, by turns.
        packed = Signal(self.credits)
        given, taken = (Signal(range(self.credits + 1)) for _ in range(2))
        waiting = Signal(range(self.credits + 1))  # frames that count and are not fed
        fed = Signal()
        m.d.sync += waiting.eq(waiting + self.commit - fed)
        with m.If(self.commit):
            m.d.sync += [
                packed.bit_select(given, 1).eq(self.packed),
                given.eq(_next(given, self.credits)),
            ]
        with m.If(fed):
            m.d.sync += taken.eq(_next(taken, self.credits))
        self._feed(m, read, depth, packed.bit_select(taken, 1), waiting != 0, fed)
        return m

    def _feed(self, m: Any, read: Any, depth: int, packed: Any, some: Any, fed: Any) -> None:
        frame = self.frame
        lane_bits = 8 * frame.lane_bytes
        byte, bits = Signal(8), Signal(range(9))  # what is left of the byte that was read
        lane, lane_filled = Signal(lane_bits), Signal(range(lane_bits + 1))
        channel = Signal(range(frame.channels))
        position = Signal(range(frame.height * frame.width))
        last_channel = channel == frame.channels - 1
        last_position = position == frame.height * frame.width - 1

        # A packed code has come in at the top; below it is rubbish.
        code = lane[lane_bits - frame.bits :]
        value = Signal(lane_bits)
        m.d.comb += value.eq(Mux(packed, code.as_signed() if frame.signed else code, lane))
        step = Signal(range(depth))
        m.d.comb += [read.addr.eq(step), self.tlast.eq(last_position)]
        with m.FSM():
            with m.State("START"):
                m.d.sync += [bits.eq(0), lane_filled.eq(0), channel.eq(0), position.eq(0)]
                with m.If(some):
                    m.next = "SHIFT"
            with m.State("FETCH"):
                # The address has been there since the cycle before; take the byte, go on.
                m.d.sync += [
                    byte.eq(read.data),
                    bits.eq(8),
                    step.eq(Mux(step == depth - 1, 0, step + 1)),
                ]
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
                    m.d.sync += self.tvalid.eq(1)
                    m.next = "OFFER"
            with m.State("OFFER"):
                with m.If(self.tready):
                    m.d.sync += [
                        self.tvalid.eq(0),
                        position.eq(Mux(last_position, 0, position + 1)),
                    ]
                    m.d.comb += fed.eq(last_position)
                    m.next = "SHIFT"
                    with m.If(last_position):
                        m.next = "START"


def _next(index: Signal, count: int) -> Any:
    return Mux(index == count - 1, 0, index + 1)
