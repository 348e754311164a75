"""What is put on a board: a network, the link to the host, the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from sqwire.hw.ports import names

from .link.link import Link
from .pll import Pll

__all__ = ["PORTS", "Top", "Wake"]

PORTS = ("clk", "rx", "tx", "active", "error", "button")
"""Pins of every top level, all but the first optional on a board."""

_AWAKE_BITS = 10
"""The reset ends 1023 cycles behind the PLL's lock and the button."""


@dataclass(frozen=True)
class Top:
    """The top level of a board around a network with the ports of
    :class:`sqwire.hw.network.Network`.

    ``pll`` is None where the oscillator is the clock. ``lit_low`` says that LEDs shine, and
    ``pressed_low`` that the button is pressed, while the pin is low; ``button`` whether there
    is one.
    """

    link: Link
    pll: Pll | None = None
    lit_low: bool = False
    button: bool = False
    pressed_low: bool = False

    def to_rtlil(self, network: str, *, name: str = "shell") -> str:
        """RTLIL of a module ``name`` with the pins :data:`PORTS`, around an instance of the
        module called ``network``."""
        pins = {pin: Signal(name=pin, init=pin in ("rx", "tx")) for pin in PORTS}
        m = Module()
        clock = self._clock(m, pins["clk"])
        raw, sync = ClockDomain("raw", reset_less=True), ClockDomain("sync")
        m.domains += raw, sync
        m.d.comb += [raw.clk.eq(clock[0]), sync.clk.eq(clock[0])]

        m.submodules.wake = wake = Wake()
        pressed = ~pins["button"] if self.pressed_low else pins["button"]
        m.d.comb += [
            wake.well.eq(clock[1] & (~pressed if self.button else 1)),
            sync.rst.eq(wake.rst),
        ]

        m.submodules.link = link = self.link.create()
        network_rst = Signal(init=1)
        m.d.sync += network_rst.eq(link.network_rst)
        # An output of the link goes into the network.
        sides = {
            f"{'i' if member.flow == Out else 'o'}_{pin}": getattr(link, pin)
            for pin, member in link.at_network.items()
        }
        for k in names("", len(self.link.identity.outputs)):
            # The link counts for itself.
            sides[f"o_m_axis{k}_tlast"] = Signal(name=f"m_axis{k}_tlast")
        m.submodules.network = Instance(
            network,
            i_clk=clock[0],
            i_rst=network_rst,
            o_error=link.network_error,
            **sides,
        )
        m.d.comb += [
            link.rx.eq(pins["rx"]),
            pins["tx"].eq(link.tx),
            *(pins[pin].eq(getattr(link, pin) ^ self.lit_low) for pin in ("active", "error")),
        ]
        # Without the button its pin would have no use.
        ports = [pins[pin] for pin in PORTS if pin != "button" or self.button]
        # No source attributes: they would hold paths of the machine that compiled.
        return str(rtlil.convert(m, name=name, ports=ports, emit_src=False))

    def _clock(self, m: Any, oscillator: Signal) -> tuple[Any, Any]:
        """The clock, and whether it is there."""
        if self.pll is None:
            return oscillator, Const(1)
        clock, lock = Signal(name="pll_clock"), Signal(name="pll_lock")
        pins: dict[str, Any] = {f"i_{pin}": _constant(v) for pin, v in self.pll.pins.items()}
        if self.pll.feedback:
            pins[f"i_{self.pll.feedback}"] = clock
        m.submodules.pll = Instance(
            self.pll.cell,
            **{f"p_{key}": value for key, value in self.pll.parameters.items()},
            **{f"a_{key}": value for key, value in self.pll.attributes.items()},
            **pins,
            **{f"i_{self.pll.clock}": oscillator},
            **{f"o_{self.pll.output}": clock, f"o_{self.pll.lock}": lock},
        )
        return clock, lock


class Wake(wiring.Component):  # type: ignore[misc]
    """The reset, until all has been well for a while.

    Members
    -------
    well : ``In(1)``
        The clock is there and nobody presses the button; of any clock.
    rst : ``Out(1)``
        The reset, in the domain ``raw``, which has none itself: from the start, and whenever
        ``well`` falls, until it has been high for ``2**10`` cycles.
    """

    def __init__(self) -> None:
        super().__init__({"well": In(1), "rst": Out(1, init=1)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        well, count = Signal(), Signal(_AWAKE_BITS)
        m.submodules.crossing = FFSynchronizer(self.well, well, o_domain="raw")
        m.d.raw += self.rst.eq(~count.all())
        with m.If(~well):
            m.d.raw += count.eq(0)
        with m.Elif(~count.all()):
            m.d.raw += count.eq(count + 1)
        return m


def _constant(value: Any) -> Const:
    return Const(*value) if isinstance(value, tuple) else Const(value, 1)
