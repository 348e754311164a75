"""A network between two serial shift registers, so that the pins of a device suffice for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.hw.axis import Port
from sqwire.hw.ports import names

__all__ = ["Shell"]


@dataclass(frozen=True)
class Shell:
    """Serial access to the AXI4-Stream ports of a network; enough to place, route and try it.

    ``inputs`` and ``outputs`` are the layouts of the network's ports. Each has a shift register
    and pins of its own, so none waits for another. Where there are several inputs their pins begin
    with ``i0``, ``i1``, ... instead of ``i``, and those of several outputs with ``o0``, ``o1``, ...

    All pins are synchronous to the clock, and each input is registered once.

    - Input: while ``i_ready`` is high, each cycle with ``i_shift`` moves ``i_data`` in. After
      as many as ``tdata`` has bits and one, ``tdata`` from its least significant bit and then
      ``tlast``, one cycle of ``i_strobe`` offers the transfer to the network; ``i_ready`` is low
      until the network has taken it. Shifts and strobes given meanwhile are ignored.
    - Output: ``o_valid`` is high when a transfer has been taken from the network. ``o_data`` is
      then its first bit; each cycle with ``o_shift`` brings the next, in the same order. A cycle of
      ``o_done`` makes room for the next transfer.
    - ``i_ready`` and ``o_valid`` fall two cycles after the pin that makes them fall rose.
    - ``error`` is high from the first ``error`` of the network until ``rst``.

    Every output of the network reaches a pin, so synthesis can drop nothing of it.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

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
        # An output of the shell goes into the network.
        sides = {
            f"{'i' if member.flow == Out else 'o'}_{pin}": getattr(shell, pin)
            for pin, member in shell.at_network.items()
        }
        m.submodules.network = Instance(
            network, i_clk=clk, i_rst=shell.rst_q, o_error=shell.network_error, **sides
        )
        ports: list[Any] = [clk, *(getattr(shell, pin) for pin in shell.pins)]
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
        To the network's input; ``s_axis0_tdata``, ... where there are several.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        From the network's output, likewise.
    network_error : ``In(1)``
        The network's ``error``.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._i = tuple(zip(names("", len(shell.inputs)), shell.inputs, strict=True))
        self._o = tuple(zip(names("", len(shell.outputs)), shell.outputs, strict=True))
        pins: dict[str, Any] = {"rst": In(1), "error": Out(1)}
        axis: dict[str, Any] = {}
        for k, port in self._i:
            pins |= {f"i{k}_{pin}": In(1) for pin in ("data", "shift", "strobe")}
            pins[f"i{k}_ready"] = Out(1)
            axis |= {f"s_axis{k}_tdata": Out(port.bits), f"s_axis{k}_tvalid": Out(1)}
            axis |= {f"s_axis{k}_tready": In(1), f"s_axis{k}_tlast": Out(1)}
        for k, port in self._o:
            pins |= {f"o{k}_{pin}": In(1) for pin in ("shift", "done")}
            pins |= {f"o{k}_{pin}": Out(1) for pin in ("data", "valid")}
            axis |= {f"m_axis{k}_tdata": In(port.bits), f"m_axis{k}_tvalid": In(1)}
            axis |= {f"m_axis{k}_tready": Out(1), f"m_axis{k}_tlast": In(1)}
        self.pins, self.at_network = pins, axis
        super().__init__({**pins, **axis, "rst_q": Out(1), "network_error": In(1)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.d.sync += [
            self.rst_q.eq(self.rst),
            self.error.eq(self.error | self.network_error),
        ]
        busy = [
            *(self._input(m, f"i{k}", f"s_axis{k}", port.bits + 1) for k, port in self._i),
            *(self._output(m, f"o{k}", f"m_axis{k}", port.bits + 1) for k, port in self._o),
        ]
        with m.If(self.rst_q):
            m.d.sync += [self.error.eq(0), *(register.eq(0) for register in busy)]
        return m

    def _registered(self, m: Any, name: str) -> Signal:
        register = Signal(name=f"{name}_q")
        m.d.sync += register.eq(getattr(self, name))
        return register

    def _axis(self, axis: str) -> list[Signal]:
        return [getattr(self, f"{axis}_{pin}") for pin in ("tdata", "tlast", "tvalid", "tready")]

    def _input(self, m: Any, pins: str, axis: str, bits: int) -> Signal:
        data, shift, strobe = (
            self._registered(m, f"{pins}_{pin}") for pin in ("data", "shift", "strobe")
        )
        tdata, tlast, tvalid, tready = self._axis(axis)
        send = Signal(bits, name=f"{pins}_send")
        # A transfer is offered to the network; its word must stay.
        pending = Signal(name=f"{pins}_pending")
        m.d.comb += [
            getattr(self, f"{pins}_ready").eq(~pending),
            tvalid.eq(pending),
            Cat(tdata, tlast).eq(send),
        ]
        with m.If(pending):
            m.d.sync += pending.eq(~tready)
        with m.Else():
            m.d.sync += pending.eq(strobe)
            with m.If(shift):
                m.d.sync += send.eq(Cat(send[1:], data))
        return pending

    def _output(self, m: Any, pins: str, axis: str, bits: int) -> Signal:
        shift, done = (self._registered(m, f"{pins}_{pin}") for pin in ("shift", "done"))
        tdata, tlast, tvalid, tready = self._axis(axis)
        received = Signal(bits, name=f"{pins}_received")
        full = Signal(name=f"{pins}_full")  # a transfer waits for the host
        m.d.comb += [
            tready.eq(~full),
            getattr(self, f"{pins}_valid").eq(full),
            getattr(self, f"{pins}_data").eq(received[0]),
        ]
        with m.If(full):
            m.d.sync += full.eq(~done)
            with m.If(shift):
                m.d.sync += received.eq(received >> 1)
        with m.Else():
            m.d.sync += [full.eq(tvalid), received.eq(Cat(tdata, tlast))]
        return full
