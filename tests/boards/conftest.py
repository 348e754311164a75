"""A small network with the ports of sqwire_top, and a simulator for the netlists made of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Const, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sqwire.boards.catalog import find_board
from sqwire.boards.flow import run_flow
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

LANES = 4
WEIGHTS = np.random.default_rng(1).integers(-3, 4, (2, LANES, LANES))
PORT = Port(Beat(Range.signed(8), LANES), frame=2)


class Layer(wiring.Component):
    """``o.lane[j] = (sum over t of weights[j][t] * i.lane[t]) >> 2``, modulo 256, registered.

    Structures of arrays on purpose: with these weights their names, which have brackets, make
    abc9 of Yosys 0.70 fail where nothing is done about it.
    """

    def __init__(self, weights):
        self.weights = weights
        beat = data.StructLayout({"lane": data.ArrayLayout(signed(8), LANES), "last": 1})
        super().__init__({"i": In(beat), "o": Out(beat), "advance": In(1)})

    def elaborate(self, platform):
        m = Module()
        acc = Signal(data.ArrayLayout(signed(14), LANES))
        for lane, row in enumerate(self.weights):
            total = Const(0)
            for tap, weight in enumerate(int(w) for w in row):
                term = self.i.lane[tap] << max(abs(weight) - 1, 0)
                total = total + term if weight > 0 else total - term if weight else total
            m.d.comb += acc[lane].eq(total)
        with m.If(self.advance):
            m.d.sync += self.o.last.eq(self.i.last)
            m.d.sync += [self.o.lane[k].eq(acc[k] >> 2) for k in range(LANES)]
        return m


class Top(wiring.Component):
    """Two layers between AXI4-Stream ports; ``error`` marks a transfer of zeros in."""

    def __init__(self):
        bits = PORT.bits
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
        m.submodules.first = first = Layer(WEIGHTS[0])
        m.submodules.second = second = Layer(WEIGHTS[1])
        valid = Signal(2)
        advance = ~valid[1] | self.m_axis_tready
        m.d.comb += [
            self.s_axis_tready.eq(advance),
            self.m_axis_tvalid.eq(valid[1]),
            first.i.lane.as_value().eq(self.s_axis_tdata),
            first.i.last.eq(self.s_axis_tlast),
            second.i.eq(first.o),
            self.m_axis_tdata.eq(second.o.lane.as_value()),
            self.m_axis_tlast.eq(second.o.last),
            first.advance.eq(advance),
            second.advance.eq(advance),
        ]
        with m.If(advance):
            m.d.sync += valid.eq(valid << 1 | self.s_axis_tvalid)
        m.d.sync += self.error.eq(self.s_axis_tvalid & advance & (self.s_axis_tdata == 0))
        return m


def compute(x):
    """What :class:`Top` makes of (transfers, lanes)."""
    for weights in WEIGHTS:
        terms = np.sign(weights) * (1 << np.maximum(abs(weights) - 1, 0))
        x = ((x @ terms.T >> 2) + 128) % 256 - 128
    return x


class Netlist:
    """Runs the module ``shell`` of a Yosys JSON netlist, one clock, cell by cell.

    Written from the data sheet's description of the slice, independent of Yosys' models.
    """

    def __init__(self, file: Path):
        module = json.loads(file.read_text())["modules"]["shell"]
        self.ports = {name: port["bits"] for name, port in module["ports"].items()}
        self.values = {"0": 0, "1": 1, "x": 0, "z": 0}
        cells = [(c["type"], c["parameters"], c["connections"]) for c in module["cells"].values()]
        self.flops = [cell for cell in cells if cell[0] == "TRELLIS_FF"]
        for _, parameters, pins in self.flops:
            self.values[pins["Q"][0]] = int(parameters["REGSET"] == "SET")
        waiting = [cell for cell in cells if cell[0] != "TRELLIS_FF"]
        known = {*self.values, *(b for bits in self.ports.values() for b in bits)}
        known -= {b for _, _, p in waiting for k in OUTPUTS if k in p for b in p[k]}
        self.order = []
        while waiting:
            ready = [c for c in waiting if known.issuperset(inputs(c[2]))]
            assert ready, "a combinational loop"
            self.order += ready
            known |= {b for _, _, p in ready for k in OUTPUTS if k in p for b in p[k]}
            waiting = [c for c in waiting if c not in ready]

    def step(self, **pins: int) -> dict[str, int]:
        """One clock cycle with these input pins; all pins just before the edge."""
        v = self.values
        for name, value in pins.items():
            v[self.ports[name][0]] = value
        for kind, parameters, p in self.order:
            evaluate(kind, parameters, {k: b[0] for k, b in p.items() if b}, v)
        seen = {name: v.get(bits[0], 0) for name, bits in self.ports.items()}
        after = {}
        for _, parameters, p in self.flops:
            q, reset = p["Q"][0], v[p["LSR"][0]] if p.get("LSR") else 0
            enable = v[p["CE"][0]] if p.get("CE") else 1
            assert parameters["CLKMUX"] == "CLK"
            reset ^= parameters["LSRMUX"] == "INV"
            mux = parameters["CEMUX"]
            enable = {"1": 1, "0": 0, "CE": enable, "INV": 1 - enable}[mux.strip()]
            if reset:
                after[q] = int(parameters["REGSET"] == "SET")
            elif enable:
                after[q] = v[p["DI"][0]]
        v.update(after)
        return seen


OUTPUTS = ("Z", "S0", "S1", "COUT")


def inputs(pins):
    return {b for k, bits in pins.items() if k not in OUTPUTS for b in bits}


def lut(init, *bits):
    return int(init[-1 - sum(bit << k for k, bit in enumerate(bits))])


def evaluate(kind, parameters, pins, v):
    if kind == "LUT4":
        v[pins["Z"]] = lut(parameters["INIT"], *(v[pins[k]] for k in "ABCD"))
    elif kind == "PFUMX":
        v[pins["Z"]] = v[pins["ALUT" if v[pins["C0"]] else "BLUT"]]
    elif kind == "L6MUX21":
        v[pins["Z"]] = v[pins["D1" if v[pins["SD"]] else "D0"]]
    else:
        assert kind == "CCU2C", kind
        carry = v[pins["CIN"]] if "CIN" in pins else 0
        for k in "01":
            init = parameters[f"INIT{k}"]
            a, b, c, d = (v[pins[f"{letter}{k}"]] for letter in "ABCD")
            propagate, generate = lut(init, a, b, c, d), lut(init, a, b, 0, 0)
            inject = parameters[f"INJECT1_{k}"] == "YES"
            if f"S{k}" in pins:
                v[pins[f"S{k}"]] = propagate ^ (0 if inject else carry)
            carry = carry if propagate else 0 if inject else generate
        if "COUT" in pins:
            v[pins["COUT"]] = carry


@pytest.fixture(scope="session")
def design(tmp_path_factory):
    """RTLIL of the small network."""
    file = tmp_path_factory.mktemp("design") / "design.il"
    file.write_text(rtlil.convert(Top(), name="sqwire_top", emit_src=False))
    return file


@pytest.fixture(scope="session")
def flow(design):
    """Runs the flow for the small network in a folder."""

    def run(folder, *, board=None, design=design, ports=((PORT,), (PORT,)), **options):
        board = board or find_board("ulx3s_85f")
        return run_flow(design, "sqwire_top", *ports, board, folder, **options)

    return run


@pytest.fixture(scope="session")
def routed(flow, tmp_path_factory):
    """The folder and the result of one run of the flow, made once."""
    folder = tmp_path_factory.mktemp("routed")
    return folder, flow(folder, cycles_per_frame=2)


@pytest.fixture(scope="session")
def bare(flow, tmp_path_factory):
    """The folder of one run of the flow between shift registers instead of the link."""
    folder = tmp_path_factory.mktemp("bare")
    flow(folder, bare=True)
    return folder


@pytest.fixture(scope="session")
def network():
    """The port, the top component's class and the function of the small network."""
    return PORT, Top, compute


@pytest.fixture
def netlist_simulator():
    """:class:`Netlist`."""
    return Netlist
