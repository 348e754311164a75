"""From bytes on the line to messages: stuffing undone, fields found, CRC checked."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from .codec import CRC_BYTES, HEADER_BYTES

__all__ = ["CRC", "Deframer"]

CRC = catalog.CRC32_ISO_HDLC(data_width=4)
"""The CRC of a message, half a byte at a time, the lower half first."""


class Deframer(wiring.Component):  # type: ignore[misc]
    """Finds messages (:mod:`sqwire.boards.link.codec`) between zeros.

    Timing: a byte at most every 4 cycles. Each is shown one cycle after it came, and the end of a
    message two cycles after the 0 behind it. Nobody may act on a payload before ``end``, where
    ``good`` says whether the whole message was right.

    Members
    -------
    valid, data, bad
        From the line: a byte, or a byte that was damaged.
    kind, sequence, length : ``Out``
        Fields of the message, from its ``opened`` to its ``end``.
    opened : ``Out(1)``
        One cycle, before the first payload byte.
    payload_valid, payload : ``Out``
        A byte of the payload.
    end : ``Out(1)``
        One cycle, at the end of every message and of what was none.
    good : ``Out(1)``
        With ``end``: everything fits.
    timed_out : ``Out(1)``
        With ``end``: it ends because nothing came for ``2**timeout_bits`` cycles.
    """

    def __init__(self, timeout_bits: int) -> None:
        self.timeout_bits = timeout_bits
        # What proofs look at: bytes of messages, unstuffed; their CRC; how many of the header, the
        # payload (still to come) and the CRC; whether there were more; whether one was damaged.
        self.byte, self.byte_valid = Signal(8), Signal()
        self.crc = CRC.create()
        self.head, self.rest = Signal(range(HEADER_BYTES + 1)), Signal(16)
        self.tail, self.over = Signal(range(CRC_BYTES + 1)), Signal()
        self.broken = Signal()
        super().__init__(
            {
                "valid": In(1),
                "data": In(8),
                "bad": In(1),
                "kind": Out(8),
                "sequence": Out(16),
                "length": Out(16),
                "opened": Out(1),
                "payload_valid": Out(1),
                "payload": Out(8),
                "end": Out(1),
                "good": Out(1),
                "timed_out": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.crc = crc = self.crc
        byte, byte_valid = self.byte, self.byte_valid

        # Cycle 0: a byte comes. Is it data, the length of a block, an end?
        begun = Signal()  # something came since the last 0
        broken = self.broken  # and a part of it was damaged
        left = Signal(8)  # bytes to come of the block
        zero = Signal()  # a 0 was left out behind the block, unless the message ends
        waited = Signal(self.timeout_bits + 1)
        code, last = left == 0, self.data == 0
        ending, whole, late, forsaken = Signal(), Signal(), Signal(), Signal()
        m.d.comb += forsaken.eq(waited[-1] & ~self.valid & ~self.bad)
        m.d.sync += [
            byte.eq(Mux(code, 0, self.data)),
            byte_valid.eq(self.valid & ~last & (~code | zero) & ~ending),
            ending.eq(begun & ~ending & ((self.valid & last) | forsaken)),
            whole.eq(code & ~broken),
            late.eq(forsaken),
            waited.eq(waited + 1),
        ]
        with m.If(self.valid & ~last):
            m.d.sync += begun.eq(1)
            with m.If(code):
                m.d.sync += [left.eq(self.data - 1), zero.eq(self.data != 255)]
            with m.Else():
                m.d.sync += left.eq(left - 1)
        with m.If(self.bad):
            m.d.sync += [begun.eq(1), broken.eq(1)]
        with m.If(~begun | self.valid | self.bad):
            m.d.sync += waited.eq(0)
        with m.If(ending):
            m.d.sync += [begun.eq(0), broken.eq(0), left.eq(0), zero.eq(0)]

        # Cycle 1: fields: five bytes of header, the payload, four bytes of CRC.
        header = Signal(8 * HEADER_BYTES)
        head, rest, tail, over = self.head, self.rest, self.tail, self.over
        some = Signal()  # rest != 0
        in_header = head != HEADER_BYTES
        m.d.comb += [
            Cat(self.kind, self.sequence, self.length).eq(header),
            self.payload.eq(byte),
            self.payload_valid.eq(byte_valid & ~in_header & some),
        ]
        m.d.sync += [self.opened.eq(0), some.eq(rest != 0)]
        with m.If(byte_valid):
            with m.If(in_header):
                m.d.sync += [header.eq(Cat(header[8:], byte)), head.eq(head + 1)]
                with m.If(head == HEADER_BYTES - 1):
                    m.d.sync += [rest.eq(Cat(header[-8:], byte)), self.opened.eq(1)]
            with m.Elif(some):
                m.d.sync += rest.eq(rest - 1)
            with m.Elif(tail != CRC_BYTES):
                m.d.sync += tail.eq(tail + 1)
            with m.Else():
                m.d.sync += over.eq(1)

        # Cycles 1 and 2: the CRC of both halves.
        upper, match = Signal(), Signal()
        second = Signal(4)
        m.d.sync += [second.eq(byte[4:]), upper.eq(byte_valid), match.eq(crc.match_detected)]
        m.d.comb += [
            crc.data.eq(Mux(upper, second, byte[:4])),
            crc.valid.eq(byte_valid | upper),
            crc.start.eq(~begun),
        ]

        # Cycle 2: was it a message?
        m.d.sync += [
            self.end.eq(ending),
            self.good.eq(whole & ~in_header & ~some & (tail == CRC_BYTES) & ~over & match & ~late),
            self.timed_out.eq(ending & late),
        ]
        with m.If(ending):
            m.d.sync += [head.eq(0), rest.eq(0), tail.eq(0), over.eq(0)]
        return m
