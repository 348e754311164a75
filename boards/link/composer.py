"""Replies: what the board says, one message at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .codec import CRC_BYTES, HEADER_BYTES, Kind
from .deframe import CRC
from .payloads import Identity, State

__all__ = ["STATE_BITS", "Composer"]

STATE_BITS = 8 * len(State().pack())
"""Width of the counters, in the order of :class:`sqwire.boards.link.payloads.State`."""


class Composer(wiring.Component):  # type: ignore[misc]
    """Writes messages: results as they come from the network, and short replies in between.

    A short reply goes before the next result. A result holds its place on the line until the
    last of its transfers has come. ``abort`` ends a message without its CRC, so it is
    no message to the host. Where frames or results travel in parts, what comes from the network
    comes byte by byte and message by message (:class:`sqwire.boards.link.outlets.Outlets`).

    Timing: a byte every 5 cycles where the line has room.

    Members
    -------
    ask, ask_kind, ask_sequence, ask_code, asked
        ``ask`` says that a reply of this kind is wanted; all four stay until ``asked`` answers for
        one cycle, at the end of the reply. The code is the payload of an error.
    tell, told, tell_sequence, tell_state
        ``tell`` says that a ``Kind.TAKEN`` is wanted, of this frame and with this payload; ``told``
        answers for one cycle, when it begins. The payload is read two bytes at a time.
    sequence : ``In(16)``
        The sequence number of the next result, until ``result``.
    message_bytes : ``In(16)``
        What the next message of a result has, until ``result``.
    tdata, tvalid, tready
        From the network.
    counters : ``In(STATE_BITS)``
        What a ``Kind.STATE`` reply holds. Two bytes are taken at a time, and what is wider must
        stand still while ``telling``.
    telling : ``Out(1)``
        A ``Kind.STATE`` reply is being written.
    result : ``Out(1)``
        One cycle, when a message of a result is complete.
    abort : ``In(1)``
        End what is being said.
    o, close, closed
        To the :class:`sqwire.boards.link.stuffer.Stuffer`.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        frame = identity.outputs[0]
        self.word_bytes = 1 if identity.is_cut else frame.lane_bytes * frame.channels
        super().__init__(
            {
                "ask": In(1),
                "ask_kind": In(8),
                "ask_sequence": In(16),
                "ask_code": In(8),
                "asked": Out(1),
                "tell": In(1),
                "told": Out(1),
                "tell_sequence": In(16),
                "tell_state": In(32),
                "sequence": In(16),
                "message_bytes": In(16),
                "tdata": In(8 * self.word_bytes),
                "tvalid": In(1),
                "tready": Out(1),
                "counters": In(STATE_BITS),
                "telling": Out(1),
                "result": Out(1),
                "abort": In(1),
                "o": Out(stream.Signature(8)),
                "close": Out(1),
                "closed": In(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.crc = crc = CRC.create()
        word_bytes = self.word_bytes
        rom = self.identity.pack()
        result = Kind.RESULT_PART if self.identity.results_are_cut else Kind.RESULT

        kind, sequence, length = Signal(8), Signal(16), Signal(16)
        is_result, is_taken, payload = Signal(), Signal(), Signal()
        short, short_sequence = Signal(8), Signal(16)
        m.d.comb += [
            short.eq(Mux(is_taken, Const(Kind.TAKEN, 8), self.ask_kind)),
            short_sequence.eq(Mux(is_taken, self.tell_sequence, self.ask_sequence)),
            kind.eq(Mux(is_result, Const(result, 8), short)),
            sequence.eq(Mux(is_result, self.sequence, short_sequence)),
            self.telling.eq(payload & ~is_result & (short == Kind.STATE)),
        ]
        with m.Switch(kind):
            for one, size in (
                (result, self.message_bytes),
                (Kind.TAKEN, len(self.tell_state) // 8),
                (Kind.IDENTITY, len(rom)),
                (Kind.STATE, STATE_BITS // 8),
                (Kind.ERROR, 1),
            ):
                with m.Case(one):
                    m.d.comb += length.eq(size)

        # A word of the payload: a transfer of the network, or two bytes of a table.
        word = Signal(max(8 * word_bytes, 16))
        word_left, empty = Signal(range(max(word_bytes, 2) + 1)), Signal()
        left, some = Signal(16), Signal()
        item = Signal(range(len(rom) // 2 + 1))
        pairs = [int.from_bytes(rom[k : k + 2], "little") for k in range(0, len(rom), 2)]
        table = Signal(16)
        with m.Switch(short):
            with m.Case(Kind.TAKEN):
                m.d.sync += table.eq(self.tell_state.word_select(item[:1], 16))
            with m.Case(Kind.IDENTITY):
                m.d.sync += table.eq(Array(Const(pair, 16) for pair in pairs)[item])
            with m.Case(Kind.STATE):
                m.d.sync += table.eq(self.counters.word_select(item, 16))
            with m.Default():
                m.d.sync += table.eq(self.ask_code)
        m.d.sync += [empty.eq(word_left == 0), some.eq(left != 0)]

        # A byte at a time: chosen, offered, and in two halves into the CRC.
        index = Signal(range(max(HEADER_BYTES, CRC_BYTES)))
        byte = Signal(8)
        tail, upper, aborted = Signal(), Signal(), Signal()
        m.d.comb += [
            self.o.payload.eq(byte),
            crc.data.eq(Mux(upper, byte[4:], byte[:4])),
        ]
        with m.If(self.abort):
            m.d.sync += aborted.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [index.eq(0), word_left.eq(0), item.eq(0)]
                m.d.sync += [payload.eq(0), tail.eq(0), aborted.eq(0)]
                with m.If(~self.abort & (self.ask | self.tell | self.tvalid)):
                    m.d.sync += [
                        is_result.eq(~self.ask & ~self.tell),
                        is_taken.eq(~self.ask & self.tell),
                    ]
                    m.d.comb += self.told.eq(~self.ask)
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.next = "OFFER"
                with m.If(aborted):
                    m.next = "CLOSE"
                with m.Elif(tail):
                    m.d.sync += byte.eq(crc.crc.word_select(index[:2], 8))
                with m.Elif(~payload):
                    m.d.sync += [
                        byte.eq(Cat(kind, sequence, length).word_select(index, 8)),
                        left.eq(length),
                    ]
                with m.Elif(~some):
                    m.d.sync += tail.eq(1)
                    m.next = "CHOOSE"
                with m.Elif(empty):
                    m.next = "LOAD"
                with m.Else():
                    m.d.sync += [
                        byte.eq(word[:8]),
                        word.eq(word >> 8),
                        word_left.eq(word_left - 1),
                        left.eq(left - 1),
                    ]
            with m.State("LOAD"):
                with m.If(is_result):
                    m.d.comb += self.tready.eq(1)
                    m.d.sync += [word.eq(self.tdata), word_left.eq(word_bytes)]
                with m.Else():
                    m.d.sync += [word.eq(table), word_left.eq(2), item.eq(item + 1)]
                with m.If(aborted):
                    m.next = "CLOSE"
                with m.Elif(~is_result | self.tvalid):
                    m.next = "LOADED"
            with m.State("LOADED"):
                m.next = "CHOOSE"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "LOWER"
            with m.State("LOWER"):
                m.d.comb += crc.valid.eq(~tail)
                m.d.sync += [upper.eq(1), index.eq(index + 1)]
                m.next = "UPPER"
                with m.If(~payload & (index == HEADER_BYTES - 1)):
                    m.d.sync += [payload.eq(1), index.eq(0)]
                with m.Elif(payload & ~tail):
                    m.d.sync += index.eq(0)
                with m.Elif(tail & (index == CRC_BYTES - 1)):
                    m.d.sync += upper.eq(0)
                    m.next = "CLOSE"
            with m.State("UPPER"):
                m.d.comb += crc.valid.eq(~tail)
                m.d.sync += upper.eq(0)
                m.next = "CHOOSE"
            with m.State("CLOSE"):
                m.d.comb += self.close.eq(1)
                with m.If(self.closed):
                    m.d.comb += [
                        self.result.eq(is_result & ~aborted),
                        self.asked.eq(~is_result & ~is_taken & ~aborted),
                    ]
                    m.d.sync += is_result.eq(0)
                    m.next = "IDLE"
        return m
