"""What the flow says when a design cannot be built."""

import re
import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from sqwire.boards.board import Pin
from sqwire.boards.catalog import find_board
from sqwire.compiler.tools import ToolError
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

ULX3S = find_board("ulx3s_85f")


def test_broken_rtlil_gives_one_line_and_leaves_no_result(flow, tmp_path):
    broken = tmp_path / "broken.il"
    broken.write_text("module \\sqwire_top\n  rubbish\nend\n")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ToolError) as caught:
        flow(folder, design=broken)
    log = folder / "synth.yosys.log"
    assert re.fullmatch(rf"yosys: it must exit with 0, not 1: [^\n]+; see {log}", str(caught.value))
    assert "rubbish" in log.read_text() or "error" in log.read_text().lower()
    assert not (folder / "synth.json").exists()


def test_a_port_of_another_width_is_refused(flow, network, tmp_path):
    with pytest.raises(ToolError, match=r"^yosys: .*s_axis_tdata from 40 bits to 32 bits.*; see "):
        flow(tmp_path, ports=((Port(Beat(Range.signed(8), 5), 1),), (network[0],)))


def test_a_design_that_is_too_big_is_refused_before_routing(flow, tmp_path):
    small = replace(ULX3S, name="tiny", resources=replace(ULX3S.resources, ff=100))
    stages = []
    with pytest.raises(ToolError, match=r"^Design: flip-flops must be at most 100 on tiny, not "):
        flow(tmp_path, board=small, progress=stages.append)
    assert stages == ["synthesis (yosys)"]


def test_a_clock_out_of_reach_is_refused_with_the_one_that_was_reached(flow, tmp_path):
    with pytest.raises(
        ToolError,
        match=r"^Design: Fmax must be at least 400 MHz on ulx3s_85f, not \d+\.\d MHz; .*; "
        r"critical path in .*synth.nextpnr.log$",
    ):
        flow(tmp_path, clock_hz=400e6)
    assert not (tmp_path / "synth.json").exists()


def test_a_pin_that_the_device_lacks_is_refused(flow, tmp_path):
    wrong = replace(ULX3S, pins={**ULX3S.pins, "clk": Pin("Z99")})
    with pytest.raises(ToolError, match=r"^nextpnr: it must exit with 0, not \d+: [^\n]*Z99"):
        flow(tmp_path, board=wrong)


def test_a_full_disk_is_refused_before_anything_runs(flow, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1 << 20))
    with pytest.raises(ToolError, match=r"^Disk of .*: \d+ MiB must be free, not 1 MiB; "):
        flow(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_the_pll_cannot_make_is_refused_with_the_nearest(flow, tmp_path):
    with pytest.raises(ValueError, match=r"^Clock: .*ECP5's PLL .*not 51.3 MHz; try .* or .* MHz$"):
        flow(tmp_path, clock_hz=51.3e6)


def test_a_rate_that_the_clock_does_not_give_is_refused(flow, tmp_path):
    with pytest.raises(ValueError, match=r"^UART: baud must be from 1 to a sixth of the clock"):
        flow(tmp_path, baud=12_000_000)


@pytest.mark.parametrize("clock_hz", [0, -1, 1e9, float("nan"), float("inf")])
def test_a_clock_that_is_none_is_refused(flow, tmp_path, clock_hz):
    with pytest.raises(ValueError, match="clock_hz must be above 0 and below 1 GHz"):
        flow(tmp_path, clock_hz=clock_hz)
