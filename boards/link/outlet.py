"""Results on their way out: kept until a message's worth is there."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .codec import RESULT_HEAD_BYTES
from .format import Format
from .intake import index

__all__ = ["Outlet"]


class Outlet(wiring.Component):  # type: ignore[misc]
    """A ring of bytes between the network and the composer, for one message.

    A message must not begin before all of it is there: while it waited, nobody could be told
    that parts of frames were taken, the host would send no more, and the network might need them
    for the rest of the message. Before the codes of a part stands its index, counted from
    ``first`` on.

    Timing: a transfer takes a cycle and one more a byte, as long as there is room.

    Members
    -------
    s_tdata, s_tvalid, s_tready
        From the network.
    tdata, tvalid, tready
        Bytes of a message, all of it without a gap; a byte at most every second cycle.
    sent : ``In(1)``
        One cycle, when the message is out.
    last : ``Out(1)``
        The message is the last of its frame.
    message_bytes : ``Out(16)``
        What it has.
    """

    def __init__(self, frame: Format, first: int = 0) -> None:
        self.frame, self.first = frame, first
        self.size = frame.message_bytes(packed=False) + RESULT_HEAD_BYTES * frame.is_cut
        # What proofs look at: bytes and messages that wait; of the message that comes which one of
        # its result it is, its position, how far its index is written, and what is left of a word.
        self.used, self.whole = Signal(range(self.size + 1)), Signal(range(self.size + 1))
        self.coming, self.position = index(frame.messages), index(frame.part or frame.positions)
        self.step, self.indexing = index(RESULT_HEAD_BYTES), Signal()
        self.left = index(frame.lane_bytes * frame.channels)
        super().__init__(
            {
                "s_tdata": In(8 * frame.lane_bytes * frame.channels),
                "s_tvalid": In(1),
                "s_tready": Out(1),
                "tdata": Out(8),
                "tvalid": Out(1),
                "tready": In(1),
                "sent": In(1),
                "last": Out(1),
                "message_bytes": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        frame = self.frame
        m.submodules.ring = ring = Memory(shape=8, depth=max(self.size, 2), init=[])
        write, read = ring.write_port(), ring.read_port()
        start, end = index(self.size), index(self.size)
        room, taken, closed = Signal(), Signal(), Signal()

        # Out: the composer looks for a message only behind `sent`.
        m.d.comb += [
            self.tdata.eq(read.data),
            read.addr.eq(start),
            taken.eq(self.tvalid & self.tready),
            room.eq(self.used != self.size),
        ]
        m.d.comb += self.tvalid.eq(self.whole != 0)
        m.d.sync += [
            self.used.eq(self.used + write.en - taken),
            self.whole.eq(self.whole + closed - self.sent),
        ]
        with m.If(taken):
            m.d.sync += start.eq(Mux(start == self.size - 1, 0, start + 1))
        leaving = index(frame.messages)  # which message of its frame
        sizes = [
            RESULT_HEAD_BYTES * frame.is_cut + frame.message_bytes(packed=False, last=last)
            for last in (True, False)
        ]
        m.d.comb += [
            self.last.eq(leaving == frame.messages - 1),
            self.message_bytes.eq(Mux(self.last, *sizes)),
        ]
        with m.If(self.sent):
            m.d.sync += leaving.eq(Mux(self.last, 0, leaving + 1))

        # In: the index of a part, then transfers byte by byte.
        with m.If(write.en):
            m.d.sync += end.eq(Mux(end == self.size - 1, 0, end + 1))
        word_bytes = frame.lane_bytes * frame.channels
        word, left = Signal(8 * word_bytes), self.left
        step, coming, position = self.step, self.coming, self.position
        rest = frame.positions - (frame.messages - 1) * frame.part if frame.is_cut else 0
        last_part = coming == frame.messages - 1
        most = (frame.part or frame.positions) - 1
        last_position = position == (Mux(last_part, rest - 1, most) if frame.is_cut else most)
        with m.FSM():
            if frame.is_cut:
                with m.State("INDEX"):
                    written = Signal(8 * RESULT_HEAD_BYTES)
                    m.d.comb += [
                        self.indexing.eq(1),
                        written.eq(self.first + coming),
                        write.en.eq(room),
                        write.data.eq(written.word_select(step, 8)),
                    ]
                    with m.If(room):
                        m.d.sync += step.eq(step + 1)
                        with m.If(step == RESULT_HEAD_BYTES - 1):
                            m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.s_tready.eq(1)
                m.d.sync += [word.eq(self.s_tdata), left.eq(word_bytes - 1)]
                with m.If(self.s_tvalid):
                    m.next = "KEEP"
            with m.State("KEEP"):
                m.d.comb += [write.en.eq(room), write.data.eq(word[:8])]
                with m.If(room):
                    m.d.sync += word.eq(word >> 8)
                    with m.If(left != 0):
                        m.d.sync += left.eq(left - 1)
                    with m.Else():
                        m.d.sync += position.eq(Mux(last_position, 0, position + 1))
                        m.next = "TAKE"
                        with m.If(last_position):
                            m.d.comb += closed.eq(1)
                            m.d.sync += coming.eq(Mux(last_part, 0, coming + 1))
                            m.next = "INDEX" if frame.is_cut else "TAKE"
        m.d.comb += write.addr.eq(end)
        return m
