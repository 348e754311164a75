"""Parts of frames in their order: the next one is kept, any other changes nothing."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .codec import PART_HEAD_BYTES
from .format import Format
from .gate import MEMBERS

__all__ = ["Order"]

_INDEX_BYTES = 4


class Order(wiring.Component):  # type: ignore[misc]
    """Lets parts of frames into the ring: only the one that is next.

    That is the one with the next number since the reset, the next index of its frame, and the
    sequence number of that frame (any, at its first part). So whatever is lost, doubled or sent
    again, the parts that count are those of whole frames, each once and in order. Every part
    that is fed, and every one that is not the next, makes the board tell where it stands
    (:class:`sqwire.boards.link.parts.Taken`): as that says all at once, of several such reasons
    one reply is enough.

    Members
    -------
    frame, packed, sequence, length, opened, valid, data, end, good, free, open, store, commit, \
first, fits, busy
        As of :class:`sqwire.boards.link.gate.Gate`; ``free`` says that a part was fed.
    tell, told
        It is to be told; that begins.
    current : ``Out(16)``
        The sequence number of the frame that came last.
    state : ``Out(32)``
        What is told.
    """

    def __init__(self, frame: Format, credits: int) -> None:
        self.format, self.credits = frame, credits
        more = {"tell": Out(1), "told": In(1), "current": Out(16), "state": Out(32)}
        super().__init__(MEMBERS | more)

    def elaborate(self, platform: object) -> Any:
        m = Module()
        frame = self.format
        index, last = Signal(range(frame.messages)), Signal()
        number, taken, turn, early = Signal(8), Signal(8), Signal(8), Signal()
        held, full = Signal(range(self.credits + 1)), Signal()
        m.d.sync += [
            last.eq(index == frame.messages - 1),
            full.eq(held == self.credits),
            held.eq(held + self.commit - self.free),
            taken.eq(taken + self.free),
        ]

        # Its length: of the last part or of one before, packed or not.
        sizes = [
            [PART_HEAD_BYTES + frame.message_bytes(packed=p, last=end) for p in (False, True)]
            for end in (False, True)
        ]
        right_length = Signal()
        wanted = Mux(last, Mux(self.packed, *sizes[1][::-1]), Mux(self.packed, *sizes[0][::-1]))
        m.d.sync += right_length.eq(self.length == wanted)

        # Byte by byte: its index, its number, its round.
        head, whole = Signal(range(PART_HEAD_BYTES + 1)), Signal()
        expected = Cat(index, Const(0, 8 * _INDEX_BYTES - len(index)))
        indexed, ahead, came, known = Signal(), Signal(8), Signal(8), Signal()
        m.d.comb += whole.eq(head == PART_HEAD_BYTES)
        m.d.sync += known.eq((index == 0) | (self.sequence == self.current))
        with m.If(self.opened):
            m.d.sync += [head.eq(0), indexed.eq(1)]
        with m.Elif(self.valid & ~whole):
            m.d.sync += head.eq(head + 1)
            with m.If(head < _INDEX_BYTES):
                with m.If(self.data != expected.word_select(head[:2], 8)):
                    m.d.sync += indexed.eq(0)
            with m.Elif(head == _INDEX_BYTES):
                m.d.sync += ahead.eq(self.data - number)
            with m.Else():
                m.d.sync += came.eq(self.data)
        is_next, decide, storing = Signal(), Signal(), Signal()
        m.d.comb += [
            is_next.eq(indexed & known & (ahead == 0)),
            self.open.eq(decide & is_next & right_length & ~full),
            self.store.eq(storing & self.valid),
        ]
        # A cycle behind the last byte of the head; the first code comes later.
        m.d.sync += decide.eq(self.frame & self.valid & (head == PART_HEAD_BYTES - 1))
        with m.If(decide):
            m.d.sync += storing.eq(self.open)

        # The end of a part that was right.
        other = Signal()
        m.d.comb += [
            self.commit.eq(self.end & self.good & storing),
            self.first.eq(self.commit & (index == 0)),
            self.fits.eq(self.frame & whole & (right_length | ~is_next)),
            self.busy.eq(self.end & self.good & self.fits & is_next & ~storing),
            other.eq(self.end & self.good & self.frame & whole & ~is_next),
            self.state.eq(Cat(taken, number, turn, early)),
        ]
        with m.If(self.commit):
            m.d.sync += [
                index.eq(Mux(last, 0, index + 1)),
                number.eq(number + 1),
                self.current.eq(self.sequence),
            ]
        with m.If(self.commit | other):
            m.d.sync += [turn.eq(came), early.eq(other & ~ahead[-1])]
        with m.If(self.free | other):
            m.d.sync += self.tell.eq(1)
        with m.Elif(self.told):
            m.d.sync += self.tell.eq(0)
        with m.If(self.end):
            m.d.sync += [storing.eq(0), head.eq(0)]
        return m
