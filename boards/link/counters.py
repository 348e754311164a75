"""How the link fares, counted."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .composer import STATE_BITS

__all__ = ["COUNTED", "PEAKS", "Counters"]

COUNTED = {
    "frames": 32,
    "stall_cycles": 32,
    "damaged": 16,
    "refused": 16,
    "busy": 16,
    "timed_out": 16,
    "network_errors": 16,
}
"""Counters by the names of :class:`sqwire.boards.link.payloads.State`, with their widths."""

PEAKS = {"most_frames": 8, "most_reply_bytes": 9}
"""Largest values seen, with their widths; as all narrow ones they are sent as 16 bits."""


class Counters(wiring.Component):  # type: ignore[misc]
    """Counts cycles in which a signal is high, and keeps the largest value of others.

    Members
    -------
    frames, stall_cycles, damaged, refused, busy, timed_out, network_errors : ``In(1)``
        What is counted; a counter stops at its largest value.
    most_frames, most_reply_bytes
        Of these the largest value is kept.
    o : ``Out(STATE_BITS)``
        All of them.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **dict.fromkeys(COUNTED, In(1)),
                **{name: In(bits) for name, bits in PEAKS.items()},
                "o": Out(STATE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        fields = []
        for name, bits in COUNTED.items():
            # Whether it is full stands in a register of its own: no wide path into the carry.
            count, full = Signal(bits, name=f"{name}_count"), Signal(name=f"{name}_full")
            m.d.sync += full.eq(count[1:].all())
            with m.If(getattr(self, name) & ~(full & count[0])):
                m.d.sync += count.eq(count + 1)
            fields.append(count)
        for name, bits in PEAKS.items():
            value, most = getattr(self, name), Signal(bits, name=f"{name}_seen")
            more = Signal(name=f"{name}_more")
            was = Signal(bits, name=f"{name}_was")
            m.d.sync += [was.eq(value), more.eq(value > most)]
            with m.If(more):
                m.d.sync += most.eq(was)
            fields += [most, Const(0, 16 - bits)]
        m.d.comb += self.o.eq(Cat(fields))
        return m
