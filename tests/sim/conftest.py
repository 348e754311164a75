"""Small designs for the benches, each built once."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.compiler.emit import emit_rtlil, rtlil_to_verilog
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range
from sqwire.sim.network import Bench
from sqwire.sim.watch import Watch


@dataclass(frozen=True)
class Increment:
    """Adds one to each lane; one register."""

    beat: Beat
    beats_in: int
    latency_cycles = 1

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(self.beat.range + Range(1, 1), self.beat.lanes),)

    @property
    def beats_out(self):
        return self.beats_in

    def needs(self):
        return np.arange(1, self.beats_in + 1)

    def compute(self, x):
        return x + 1

    def create(self):
        return IncrementComponent(self)


class IncrementComponent(wiring.Component):
    def __init__(self, spec):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for lane in range(self.spec.beat.lanes):
                m.d.sync += self.o.payload[lane].eq(self.i.payload[lane] + 1)
        return m


@dataclass(frozen=True)
class PairSum:
    """The sum of two positions that follow each other; one register."""

    beat: Beat
    beats_in: int
    latency_cycles = 1

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(self.beat.range + self.beat.range, self.beat.lanes),)

    @property
    def beats_out(self):
        return self.beats_in // 2

    def needs(self):
        return np.arange(2, self.beats_in + 1, 2)

    def compute(self, x):
        return x[:, 0::2] + x[:, 1::2]

    def create(self):
        return PairSumComponent(self)


class PairSumComponent(wiring.Component):
    def __init__(self, spec):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        second = Signal()
        first = Signal(self.spec.beat.layout)
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid & second)
            with m.If(self.i.valid):
                m.d.sync += [second.eq(~second), first.eq(self.i.payload)]
                for lane in range(self.spec.beat.lanes):
                    m.d.sync += self.o.payload[lane].eq(first[lane] + self.i.payload[lane])
        return m


@pytest.fixture(scope="session")
def pair_network():
    """Adds one, then adds two positions: three channels, six positions in, three out."""
    beat = Beat(Range(-8, 7), 3)
    increment = Increment(beat, 6)
    pair = PairSum(increment.outputs[0], 6)
    return Network(
        (Port(beat, 6),),
        (
            Stage("increment", increment, (Source(None),)),
            Stage("pair.sum", pair, (Source("increment"),)),
        ),
        (Source("pair.sum"),),
    )


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Where the builds of this session keep Verilator's compiled library."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="session")
def pair_verilog(pair_network, tmp_path_factory):
    """The folder with design.il and design.v of :func:`pair_network`."""
    folder = tmp_path_factory.mktemp("pair")
    rtlil_to_verilog(emit_rtlil(pair_network), folder)
    return folder


@pytest.fixture(scope="session")
def pair_bench(pair_network, pair_verilog, tmp_path_factory, library):
    """A bench for :func:`pair_network` that watches both stages and one that does not exist."""
    watches = [
        Watch(stage.name, f"network.{stage.instance}", stage.spec.outputs[0])
        for stage in pair_network.stages
    ]
    watches.append(Watch("none", "network.none", pair_network.outputs[0].beat))
    return Bench.build(
        [pair_verilog / "design.v"],
        pair_network.inputs,
        pair_network.outputs,
        tmp_path_factory.mktemp("pair_bench"),
        watches=watches,
        cache=library,
    )


class Faulty(wiring.Component):
    """A register with AXI4-Stream ports; some codes, named below, make it break a rule."""

    FRAME = 4
    FALLS, CHANGES, LAST_CHANGES, LAST_WRONG, SURPLUS, HANGS, LOSES, ERROR = range(240, 248)

    def __init__(self):
        super().__init__(
            {
                "s_axis_tdata": In(8),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(8),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        full, last, again, hung = Signal(), Signal(), Signal(), Signal()
        code = Signal(8)
        waited = Signal(2)
        m.d.comb += [
            self.s_axis_tready.eq(~hung & (~full | (self.m_axis_tready & ~again))),
            self.m_axis_tvalid.eq(full & ~((code == self.FALLS) & (waited == 2))),
            self.m_axis_tdata.eq(code + ((code == self.CHANGES) & (waited >= 2))),
            self.m_axis_tlast.eq(
                last ^ (code == self.LAST_WRONG) ^ ((code == self.LAST_CHANGES) & (waited >= 2))
            ),
        ]
        m.d.sync += self.error.eq(0)
        with m.If(self.m_axis_tvalid & self.m_axis_tready):
            m.d.sync += [full.eq(again), again.eq(0), waited.eq(0)]
        with m.Elif(full & (waited != 3)):
            m.d.sync += waited.eq(waited + 1)
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += [
                code.eq(self.s_axis_tdata),
                last.eq(self.s_axis_tlast),
                full.eq(self.s_axis_tdata != self.LOSES),
                again.eq(self.s_axis_tdata == self.SURPLUS),
                hung.eq(self.s_axis_tdata == self.HANGS),
                self.error.eq(self.s_axis_tdata == self.ERROR),
            ]
        return m


@pytest.fixture(scope="session")
def faulty_bench(tmp_path_factory, library):
    """A bench for :class:`Faulty`."""
    folder = tmp_path_factory.mktemp("faulty")
    port = Port(Beat(Range.unsigned(8), 1), Faulty.FRAME)
    text = str(rtlil.convert(Faulty(), name="sqwire_top", emit_src=False))
    return Bench.build(
        [rtlil_to_verilog(text, folder)], [port], [port], folder / "bench", cache=library
    )


@pytest.fixture(scope="session")
def faults():
    """:class:`Faulty`, for its codes."""
    return Faulty


@pytest.fixture(scope="session")
def small_build(residual_build, library):
    """:func:`residual_build`, whose simulation shares Verilator's library with the others."""
    shared = residual_build.path / "simulation" / "library"
    if not shared.exists():
        shared.parent.mkdir(exist_ok=True)
        shared.symlink_to(library)
    return residual_build
