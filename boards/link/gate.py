"""What may go into the ring: frames of the right length, as long as there is a credit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .format import Format

__all__ = ["MEMBERS", "Gate"]

MEMBERS = {
    "frame": In(1),
    "packed": In(1),
    "sequence": In(16),
    "length": In(16),
    "opened": In(1),
    "valid": In(1),
    "data": In(8),
    "end": In(1),
    "good": In(1),
    "free": In(1),
    "open": Out(1),
    "store": Out(1),
    "commit": Out(1),
    "first": Out(1),
    "fits": Out(1),
    "busy": Out(1),
}
"""Members of this gate and of :class:`sqwire.boards.link.order.Order`."""


class Gate(wiring.Component):  # type: ignore[misc]
    """Lets whole frames into the ring; a frame is that of each input, one behind the other.

    Members
    -------
    frame, packed, sequence, length
        Of the message: whether it brings codes, whether they are packed, its number, its length.
    opened
        One cycle, before the first byte of the payload.
    valid, data
        A byte of the payload.
    end, good
        The message ends; it was right.
    free
        There is room again for one.
    open, store, commit
        For the ring: something is to be kept, a byte of it comes, it counts. What is opened and
        not committed at ``end`` is to be forgotten.
    first
        With ``commit``: a frame begins.
    fits, busy
        At ``end``, of messages that bring codes: the length is right; there was no credit.
    """

    def __init__(self, inputs: tuple[Format, ...], credits: int) -> None:
        self.inputs, self.credits = inputs, credits
        super().__init__(MEMBERS)

    def elaborate(self, platform: object) -> Any:
        m = Module()
        plain, packed = (
            sum(frame.frame_bytes(packed=p) for frame in self.inputs) for p in (False, True)
        )
        unanswered, full = Signal(range(self.credits + 1)), Signal()
        storing = Signal()
        m.d.sync += [
            self.fits.eq(self.length == Mux(self.packed, packed, plain)),
            full.eq(unanswered == self.credits),
            unanswered.eq(unanswered + self.commit - self.free),
        ]
        m.d.comb += [
            self.open.eq(self.opened & self.frame & self.fits & ~full),
            self.store.eq(storing & self.valid),
            self.commit.eq(self.end & self.good & storing),
            self.first.eq(self.commit),
            self.busy.eq(self.end & self.good & self.frame & self.fits & ~storing),
        ]
        with m.If(self.opened):
            m.d.sync += storing.eq(self.open)
        with m.If(self.end):
            m.d.sync += storing.eq(0)
        return m
