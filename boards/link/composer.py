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
    no message to the host.

    Timing: a byte a cycle where the line has room.

    Members
    -------
    ask, ask_kind, ask_sequence, ask_code, asked
        ``ask`` says that a reply of this kind is wanted, until ``asked`` answers for one cycle; the
        code is the payload of an error.
    sequence : ``In(16)``
        The sequence number of the next result.
    tdata, tvalid, tready
        From the network.
    counters : ``In(STATE_BITS)``
        What a ``Kind.STATE`` reply holds, all of one cycle.
    result : ``Out(1)``
        One cycle, when a result is complete.
    abort : ``In(1)``
        End what is being said.
    o, close, closed
        To the :class:`sqwire.boards.link.stuffer.Stuffer`.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        frame = identity.output
        super().__init__(
            {
                "ask": In(1),
                "ask_kind": In(8),
                "ask_sequence": In(16),
                "ask_code": In(8),
                "asked": Out(1),
                "sequence": In(16),
                "tdata": In(8 * frame.lane_bytes * frame.channels),
                "tvalid": In(1),
                "tready": Out(1),
                "counters": In(STATE_BITS),
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
        frame = self.identity.output
        word_bytes = frame.lane_bytes * frame.channels
        rom = self.identity.pack()

        kind = Signal(8)
        header = Signal(8 * HEADER_BYTES)
        count = Signal(range(max(HEADER_BYTES, CRC_BYTES)))
        left = Signal(16)  # payload bytes to come
        code = Signal(8)
        word, word_left = Signal(8 * word_bytes), Signal(range(word_bytes + 1))
        state = Signal(STATE_BITS)
        sent = Signal()
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready),
            crc.data.eq(self.o.payload),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [count.eq(0), word_left.eq(0)]
                with m.If(self.abort):
                    pass
                with m.Elif(self.ask):
                    length = Signal(16)
                    with m.Switch(self.ask_kind):
                        with m.Case(Kind.IDENTITY):
                            m.d.comb += length.eq(len(rom))
                        with m.Case(Kind.STATE):
                            m.d.comb += length.eq(STATE_BITS // 8)
                        with m.Case(Kind.ERROR):
                            m.d.comb += length.eq(1)
                    m.d.comb += self.asked.eq(1)
                    m.d.sync += [
                        header.eq(Cat(self.ask_kind, self.ask_sequence, length)),
                        kind.eq(self.ask_kind),
                        left.eq(length),
                        code.eq(self.ask_code),
                        state.eq(self.counters),
                    ]
                    m.next = "HEADER"
                with m.Elif(self.tvalid):
                    size = frame.frame_bytes(packed=False)
                    m.d.sync += [
                        header.eq(
                            Cat(Const(Kind.RESULT, 8), self.sequence, Const(size, 16)),
                        ),
                        kind.eq(Kind.RESULT),
                        left.eq(size),
                    ]
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(header[:8]), crc.valid.eq(sent)]
                with m.If(sent):
                    m.d.sync += [header.eq(header >> 8), count.eq(count + 1)]
                    with m.If(count == HEADER_BYTES - 1):
                        m.d.sync += count.eq(0)
                        m.next = "PAYLOAD"
                with m.If(self.abort):
                    m.next = "CLOSE"
            with m.State("PAYLOAD"):
                m.d.comb += crc.valid.eq(sent)
                with m.If(left == 0):
                    m.d.comb += self.result.eq(kind == Kind.RESULT)
                    m.next = "CRC"
                with m.Elif((kind == Kind.RESULT) & (word_left == 0)):
                    m.d.comb += self.tready.eq(1)
                    with m.If(self.tvalid):
                        m.d.sync += [word.eq(self.tdata), word_left.eq(word_bytes)]
                with m.Else():
                    m.d.comb += self.o.valid.eq(1)
                with m.Switch(kind):
                    with m.Case(Kind.IDENTITY):
                        at = Signal(range(len(rom) + 1))
                        m.d.comb += [
                            at.eq(len(rom) - left),
                            self.o.payload.eq(Array(Const(byte, 8) for byte in rom)[at]),
                        ]
                    with m.Case(Kind.STATE):
                        m.d.comb += self.o.payload.eq(state[:8])
                    with m.Case(Kind.ERROR):
                        m.d.comb += self.o.payload.eq(code)
                    with m.Default():
                        m.d.comb += self.o.payload.eq(word[:8])
                with m.If(sent):
                    m.d.sync += [
                        left.eq(left - 1),
                        state.eq(state >> 8),
                        word.eq(word >> 8),
                        word_left.eq(Mux(word_left == 0, 0, word_left - 1)),
                    ]
                with m.If(self.abort):
                    m.next = "CLOSE"
            with m.State("CRC"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(crc.crc.word_select(count[:2], 8)),
                ]
                with m.If(sent):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == CRC_BYTES - 1):
                        m.next = "CLOSE"
                with m.If(self.abort):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += self.close.eq(1)
                with m.If(self.closed):
                    m.next = "IDLE"
        return m
