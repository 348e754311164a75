"""The outputs of a network on their way to the one composer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.hw.ports import names

from .format import Format
from .intake import index
from .outlet import Outlet

__all__ = ["Outlets"]


class Outlets(wiring.Component):  # type: ignore[misc]
    """An :class:`sqwire.boards.link.outlet.Outlet` for each output; whose message is there goes.

    A result is all messages of a frame of each output, numbered through from those of the first on.
    Which output's is next is not fixed, so no output waits for another to give something: each is
    taken until its frame is complete and so much of the next one waits as its outlet holds. A
    network needs no more, as no frame needs anything of the frame behind it.

    Members
    -------
    m_axis_tdata, m_axis_tvalid, m_axis_tready
        From the network; ``m_axis0_tdata``, ... where there are several outputs.
    tdata, tvalid, tready, message_bytes
        Bytes of a message as :class:`sqwire.boards.link.outlet.Outlet` gives them.
    sent : ``In(1)``
        One cycle, when the message is out.
    last : ``Out(1)``
        The message is the last of its result.
    """

    def __init__(self, outputs: tuple[Format, ...]) -> None:
        self.outputs = outputs
        members: dict[str, Any] = {}
        for k, frame in zip(names("", len(outputs)), outputs, strict=True):
            members |= {f"m_axis{k}_tdata": In(8 * frame.lane_bytes * frame.channels)}
            members |= {f"m_axis{k}_tvalid": In(1), f"m_axis{k}_tready": Out(1)}
        super().__init__(
            {
                **members,
                "tdata": Out(8),
                "tvalid": Out(1),
                "tready": In(1),
                "message_bytes": Out(16),
                "sent": In(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        count = len(self.outputs)
        chosen = index(count) if count > 1 else Const(0, 1)
        given = Signal(count)  # of this frame all
        outlets, first = [], 0
        for number, k in enumerate(names("", count)):
            outlet = Outlet(self.outputs[number], first)
            m.submodules[f"outlet{k}"] = outlet
            outlets.append(outlet)
            first += self.outputs[number].messages
            m.d.comb += [
                outlet.s_tdata.eq(getattr(self, f"m_axis{k}_tdata")),
                outlet.s_tvalid.eq(getattr(self, f"m_axis{k}_tvalid")),
                getattr(self, f"m_axis{k}_tready").eq(outlet.s_tready),
                outlet.tready.eq(self.tready & (chosen == number)),
                outlet.sent.eq(self.sent & (chosen == number)),
            ]
        whole, complete = Signal(), Signal(count)
        offers = Array(outlet.tvalid & ~gone for outlet, gone in zip(outlets, given, strict=True))
        m.d.comb += [
            self.tvalid.eq(offers[chosen]),
            self.tdata.eq(Array(outlet.tdata for outlet in outlets)[chosen]),
            self.message_bytes.eq(Array(outlet.message_bytes for outlet in outlets)[chosen]),
            whole.eq(Array(outlet.last for outlet in outlets)[chosen]),
            complete.eq(given | (whole << chosen)),
            self.last.eq(complete.all()),
        ]
        with m.If(self.sent):
            m.d.sync += given.eq(Mux(self.last, 0, complete))
        # What is offered stays until it is sent.
        if count > 1:
            with m.If(self.sent | ~self.tvalid):
                m.d.sync += chosen.eq(Mux(chosen == count - 1, 0, chosen + 1))
        return m
