"""A network between two serial shift registers, so that the pins of a device suffice for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.hw.axis import Port

__all__ = ["Shell"]

PINS_IN = ("rst", "i_data", "i_shift", "i_strobe", "o_shift", "o_done")
PINS_OUT = ("i_ready", "o_data", "o_valid", "error")


@dataclass(frozen=True)
class Shell:
    """Serial access to the AXI4-Stream ports of a network; enough to place, route and try it.

    ``port_in`` and ``port_out`` are the layouts of the network's ``s_axis`` and ``m_axis``.

    All pins are synchronous to the clock, and each input is registered once.

    - Input: while ``i_ready`` is high, each cycle with ``i_shift`` moves ``i_data`` in. After
      :attr:`bits_in` of them, ``tdata`` from its least significant bit and then ``tlast``, one
      cycle of ``i_strobe`` offers the transfer to the network; ``i_ready`` is low until the
      network has taken it. Shifts and strobes given meanwhile are ignored.
    - Output: ``o_valid`` is high when a transfer has been taken from the network. ``o_data`` is
      then its first bit; each cycle with ``o_shift`` brings the next of :attr:`bits_out`, in the
      same order. A cycle of ``o_done`` makes room for the next transfer.
    - ``i_ready`` and ``o_valid`` fall two cycles after the pin that makes them fall rose.
    - ``error`` is high from the first ``error`` of the network until ``rst``.

    Every output of the network reaches a pin, so synthesis can drop nothing of it.
    """

    port_in: Port
    port_out: Port

    @property
    def bits_in(self) -> int:
        """Bits of an input transfer."""
        return int(self.port_in.bits) + 1

    @property
    def bits_out(self) -> int:
        """Bits of an output transfer."""
        return int(self.port_out.bits) + 1

    def create(self) -> Component:
        """The shell without the network."""
        return Component(self)

    def to_rtlil(self, network: str, *, name: str = "shell") -> str:
        """RTLIL of a module ``name`` with the pins and ``clk``, around an instance of the module
        called ``network``, whose ports are as in :class:`sqwire.hw.network.Network`."""
        clk = Signal(name="clk")
        domain = ClockDomain("sync", reset_less=True)
        m = Module()
        m.domains.sync = domain
        m.d.comb += domain.clk.eq(clk)
        m.submodules.shell = shell = self.create()
        m.submodules.network = Instance(
            network,
            i_clk=clk,
            i_rst=shell.rst_q,
            i_s_axis_tdata=shell.s_axis_tdata,
            i_s_axis_tvalid=shell.s_axis_tvalid,
            o_s_axis_tready=shell.s_axis_tready,
            i_s_axis_tlast=shell.s_axis_tlast,
            o_m_axis_tdata=shell.m_axis_tdata,
            o_m_axis_tvalid=shell.m_axis_tvalid,
            i_m_axis_tready=shell.m_axis_tready,
            o_m_axis_tlast=shell.m_axis_tlast,
            o_error=shell.network_error,
        )
        ports: list[Any] = [clk, *(getattr(shell, pin) for pin in PINS_IN + PINS_OUT)]
        # No source attributes: they would hold paths of the machine that compiled.
        return str(rtlil.convert(m, name=name, ports=ports, emit_src=False))


class Component(wiring.Component):  # type: ignore[misc]
    """Hardware of a :class:`Shell`.

    Members
    -------
    rst, i_data, i_shift, i_strobe, i_ready, o_data, o_shift, o_valid, o_done, error
        The pins, see :class:`Shell`.
    rst_q : ``Out(1)``
        The network's reset: ``rst`` one cycle later.
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        To the network's input.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        From the network's output.
    network_error : ``In(1)``
        The network's ``error``.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        super().__init__(
            {
                **{pin: In(1) for pin in PINS_IN},
                **{pin: Out(1) for pin in PINS_OUT},
                "rst_q": Out(1),
                "s_axis_tdata": Out(shell.port_in.bits),
                "s_axis_tvalid": Out(1),
                "s_axis_tready": In(1),
                "s_axis_tlast": Out(1),
                "m_axis_tdata": In(shell.port_out.bits),
                "m_axis_tvalid": In(1),
                "m_axis_tready": Out(1),
                "m_axis_tlast": In(1),
                "network_error": In(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        pin = {name: Signal(name=f"{name}_q") for name in PINS_IN if name != "rst"}
        m.d.sync += [register.eq(getattr(self, name)) for name, register in pin.items()]
        m.d.sync += self.rst_q.eq(self.rst)

        send = Signal(self.shell.bits_in)
        pending = Signal()  # a transfer is offered to the network; its word must stay
        m.d.comb += [
            self.i_ready.eq(~pending),
            self.s_axis_tvalid.eq(pending),
            Cat(self.s_axis_tdata, self.s_axis_tlast).eq(send),
        ]
        with m.If(pending):
            m.d.sync += pending.eq(~self.s_axis_tready)
        with m.Else():
            m.d.sync += pending.eq(pin["i_strobe"])
            with m.If(pin["i_shift"]):
                m.d.sync += send.eq(Cat(send[1:], pin["i_data"]))

        received = Signal(self.shell.bits_out)
        full = Signal()  # a transfer waits for the host
        m.d.comb += [
            self.m_axis_tready.eq(~full),
            self.o_valid.eq(full),
            self.o_data.eq(received[0]),
        ]
        with m.If(full):
            m.d.sync += full.eq(~pin["o_done"])
            with m.If(pin["o_shift"]):
                m.d.sync += received.eq(received >> 1)
        with m.Else():
            m.d.sync += [
                full.eq(self.m_axis_tvalid),
                received.eq(Cat(self.m_axis_tdata, self.m_axis_tlast)),
            ]

        m.d.sync += self.error.eq(self.error | self.network_error)
        with m.If(self.rst_q):
            m.d.sync += [pending.eq(0), full.eq(0), self.error.eq(0)]
        return m
