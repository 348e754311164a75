"""The link: a serial line on one side, a network's AXI4-Stream ports on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.hw.ports import names

from .codec import MOST_PAYLOAD, PART_HEAD_BYTES
from .core import Core, at_network, ports
from .format import MOST_FRAME, Format
from .payloads import Identity
from .uart import Uart

__all__ = ["Link", "credits_for"]

_MOST_CREDITS, _MOST_PARTS = 16, 8


def credits_for(inputs: tuple[Format, ...], ring_bytes: int, most: int = _MOST_CREDITS) -> int:
    """How many frames may be unanswered where ``ring_bytes`` are there to keep them.

    A power of two from 2 (one is fed while the next comes) to ``most``. Of a frame in parts it is
    the parts that count.
    """
    if inputs[0].is_cut:
        most = min(most, _MOST_PARTS)
    room = ring_bytes // sum(1 + frame.message_bytes(packed=False) for frame in inputs)
    return min(max(1 << max(room, 1).bit_length() - 1, 2), most)


@dataclass(frozen=True)
class Link:
    """A board's side of the line: who it is, and that it gives up on a host that stops in the
    middle of a message after ``2**timeout_bits`` cycles.

    Raises
    ------
    ValueError
        If the rate cannot be met, a frame or a part of one is too long for a message, or the
        credits are no power of two from 1 to 16.
    """

    identity: Identity
    timeout_bits: int = 19

    def __post_init__(self) -> None:
        inputs, outputs = self.identity.inputs, self.identity.outputs
        called = names("input", len(inputs)) + names("output", len(outputs))
        for name, frame in zip(called, inputs + outputs, strict=True):
            size, what = frame.message_bytes(packed=False), "part" if frame.is_cut else "frame"
            most = MOST_PAYLOAD - PART_HEAD_BYTES * frame.is_cut
            if size > most:
                raise ValueError(
                    f"Link: a {what} of the {name} must have at most {most} bytes, not "
                    f"{size}; make the network's {name} smaller"
                )
            if frame.channels > MOST_PAYLOAD or not frame.is_sound:
                raise ValueError(
                    f"Link: the {name} must have codes of up to 64 bits, {MOST_PAYLOAD} a position "
                    f"and {MOST_FRAME} bytes a frame, not {frame}; make it smaller"
                )
        if not self.identity.fits:
            raise ValueError(
                "Link: of several inputs no frames must be cut and of several outputs all, not "
                f"{inputs} and {outputs}; see sqwire.boards.fit.parts_for"
            )
        if self.identity.credits not in (1, 2, 4, 8, 16):
            raise ValueError(
                f"Link: credits must be a power of two up to 16, not {self.identity.credits}"
            )
        if not 4 <= self.timeout_bits <= 32:
            raise ValueError(f"Link: timeout_bits must be from 4 to 32, not {self.timeout_bits}")
        _ = self.uart

    @property
    def timeout_cycles(self) -> int:
        """Cycles after which a message that is not continued is given up."""
        return 1 << self.timeout_bits

    @property
    def uart(self) -> Uart:
        """The line."""
        return Uart(self.identity.clock_hz, self.identity.baud)

    def core(self) -> Core:
        """The hardware without the line: bytes in, bytes out."""
        return Core(self)

    def create(self) -> Component:
        """The hardware."""
        return Component(self)


class Component(wiring.Component):  # type: ignore[misc]
    """The link with its line: members of :class:`Core`, and ``rx`` and ``tx`` for the bytes.

    ``at_network`` are the members at the streams of the network.
    """

    def __init__(self, link: Link) -> None:
        self.link, self.at_network = link, at_network(link.identity)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), **ports(link.identity)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.receiver = receiver = self.link.uart.receiver()
        m.submodules.transmitter = transmitter = self.link.uart.transmitter()
        m.submodules.core = core = self.link.core()
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            core.valid.eq(receiver.valid),
            core.data.eq(receiver.data),
            core.bad.eq(receiver.bad),
        ]
        wiring.connect(m, core.o, transmitter.i)
        for name, member in ports(self.link.identity).items():
            mine, inner = getattr(self, name), getattr(core, name)
            m.d.comb += mine.eq(inner) if member.flow == Out else inner.eq(mine)
        return m
