"""Replies on their way to the line: bytes in, stuffed blocks out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["DEPTH", "Stuffer"]

DEPTH = 512
"""Bytes that wait for the line; a block, of up to 255, must be complete before it may leave."""


class Stuffer(wiring.Component):  # type: ignore[misc]
    """Stuffs messages as :func:`sqwire.boards.link.codec.stuff` does, with a 0 at both ends.

    Timing: a byte a cycle, but one more at the begin, for each 254 bytes without a 0 and two at the
    end of a message; it waits while there is no room. A byte can leave as soon as its block
    is complete.

    Members
    -------
    i : ``In(stream)``
        Bytes of messages.
    close, closed
        ``close`` ends the message, once nothing is offered at ``i``; ``closed`` answers for one
        cycle and ``close`` must fall.
    o : ``Out(stream)``
        Bytes for the line.
    waiting : ``Out(range(DEPTH))``
        Bytes that waited a cycle ago, also those of the open block.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "close": In(1),
                "closed": Out(1),
                "o": Out(stream.Signature(8)),
                "waiting": Out(range(DEPTH)),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.ring = ring = Memory(shape=8, depth=DEPTH, init=[])
        write, read = ring.write_port(), ring.read_port()

        end = Signal(range(DEPTH))  # behind the last byte written
        head = Signal(range(DEPTH))  # where the length of the open block goes
        length = Signal(8)  # what goes there
        first = Signal(range(DEPTH))  # the next byte to leave
        committed = Signal(range(DEPTH))  # and behind the last that may
        room = Signal()
        # Two cycles old, in which at most three bytes came.
        m.d.sync += [self.waiting.eq(end - first), room.eq(self.waiting < DEPTH - 8)]

        def close_block(then: str) -> None:
            """Write its length; the next block, if any, begins behind it."""
            m.d.comb += [write.en.eq(1), write.addr.eq(head), write.data.eq(length)]
            m.d.sync += [head.eq(end), end.eq(end + 1), length.eq(1), committed.eq(end)]
            m.next = then

        def append(byte: Any) -> None:
            m.d.comb += [write.en.eq(1), write.addr.eq(end), write.data.eq(byte)]
            m.d.sync += end.eq(end + 1)

        with m.FSM():
            with m.State("BETWEEN"):
                with m.If(self.i.valid & room):
                    append(0)
                    # Leave a place for the length of the first block.
                    m.d.sync += [head.eq(end + 1), end.eq(end + 2), length.eq(1)]
                    m.d.sync += committed.eq(end + 1)
                    m.next = "INSIDE"
                with m.Elif(self.close):
                    m.d.comb += self.closed.eq(1)
            with m.State("INSIDE"):
                with m.If(room & self.i.valid):
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(self.i.payload == 0):
                        close_block("INSIDE")
                    with m.Else():
                        append(self.i.payload)
                        m.d.sync += length.eq(length + 1)
                        with m.If(length == 254):
                            m.next = "FULL"
                with m.Elif(room & self.close):
                    close_block("LAST")
            with m.State("FULL"):
                with m.If(room):
                    close_block("INSIDE")
            with m.State("LAST"):
                # The place for the next length takes the 0 instead.
                m.d.comb += [write.en.eq(1), write.addr.eq(head), self.closed.eq(1)]
                m.d.sync += committed.eq(end)
                m.next = "BETWEEN"

        # Leaving: the memory answers a cycle later.
        fetched = Signal()
        m.d.comb += read.addr.eq(first)
        with m.If(self.o.valid):
            with m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        with m.Elif(fetched):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(1), fetched.eq(0)]
            m.d.sync += first.eq(first + 1)
        with m.Else():
            m.d.sync += fetched.eq(first != committed)
        return m
