"""From bytes on the line to messages: stuffing undone, fields found, CRC checked."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from .codec import CRC_BYTES, HEADER_BYTES

__all__ = ["CRC", "Deframer"]

CRC = catalog.CRC32_ISO_HDLC(data_width=8)
"""The CRC of a message."""


class Deframer(wiring.Component):  # type: ignore[misc]
    """Finds messages (:mod:`sqwire.boards.link.codec`) between zeros.

    Timing: takes a byte in any cycle. A payload byte is shown in the cycle in which it comes, and
    the end of a message in the cycle of the 0 behind it, so nobody may act on a payload before
    ``end``, where ``good`` says whether the whole message was right.

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
        With ``end``: it ends because nothing came for ``timeout_cycles``.
    """

    def __init__(self, timeout_cycles: int) -> None:
        self.timeout_cycles = timeout_cycles
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
        m.submodules.crc = crc = CRC.create()

        begun = Signal()  # something came since the last 0
        broken = Signal()  # and a part of it was damaged
        left = Signal(8)  # bytes to come of the block
        zero = Signal()  # a 0 was left out behind the block, unless the message ends
        byte, byte_valid = Signal(8), Signal()
        code = left == 0
        m.d.comb += [
            byte.eq(self.data),
            byte_valid.eq(self.valid & (self.data != 0) & (~code | zero)),
        ]
        with m.If(code):
            m.d.comb += byte.eq(0)
        with m.If(self.valid & (self.data != 0)):
            m.d.sync += begun.eq(1)
            with m.If(code):
                m.d.sync += [left.eq(self.data - 1), zero.eq(self.data != 255)]
            with m.Else():
                m.d.sync += left.eq(left - 1)
        with m.If(self.bad):
            m.d.sync += [begun.eq(1), broken.eq(1)]

        # Fields: five bytes of header, the payload, four bytes of CRC.
        header = Signal(8 * HEADER_BYTES)
        head = Signal(range(HEADER_BYTES + 1))
        rest = Signal(16)
        tail = Signal(range(CRC_BYTES + 1))
        over = Signal()
        in_header, in_payload = head != HEADER_BYTES, rest != 0
        m.d.comb += [
            Cat(self.kind, self.sequence, self.length).eq(header),
            self.payload.eq(byte),
            self.payload_valid.eq(byte_valid & ~in_header & in_payload),
            crc.data.eq(byte),
            crc.valid.eq(byte_valid),
            crc.start.eq(~begun | self.end),
        ]
        m.d.sync += self.opened.eq(0)
        with m.If(byte_valid):
            with m.If(in_header):
                m.d.sync += [header.eq(Cat(header[8:], byte)), head.eq(head + 1)]
                with m.If(head == HEADER_BYTES - 1):
                    m.d.sync += [rest.eq(Cat(header[-8:], byte)), self.opened.eq(1)]
            with m.Elif(in_payload):
                m.d.sync += rest.eq(rest - 1)
            with m.Elif(tail != CRC_BYTES):
                m.d.sync += tail.eq(tail + 1)
            with m.Else():
                m.d.sync += over.eq(1)

        waited = Signal(range(self.timeout_cycles + 1))
        m.d.comb += self.timed_out.eq(begun & (waited == self.timeout_cycles))
        with m.If(~begun | self.valid | self.bad):
            m.d.sync += waited.eq(0)
        with m.Elif(~self.timed_out):
            m.d.sync += waited.eq(waited + 1)

        whole = ~in_header & ~in_payload & (tail == CRC_BYTES) & ~over & code & ~broken
        m.d.comb += [
            self.end.eq(begun & ((self.valid & (self.data == 0)) | self.timed_out)),
            self.good.eq(whole & crc.match_detected & ~self.timed_out),
        ]
        with m.If(self.end):
            m.d.sync += [begun.eq(0), broken.eq(0), left.eq(0), zero.eq(0)]
            m.d.sync += [head.eq(0), rest.eq(0), tail.eq(0), over.eq(0)]
        return m
