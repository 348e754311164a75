"""A build or a run that fails says why, and leaves nothing of itself in this process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sqwire.sim import runner, toolchain
from sqwire.sim.toolchain import SimulationError

# Verilog that a person could write, so that what Verilator says about it is known.
ADDER = "module adder(input clk, input [3:0] a, output reg [3:0] y);\n{}\nendmodule\n"
TRUNCATES = ADDER.format("always @(posedge clk) y <= {a, a};")

TESTS = """
import json, os, pathlib
import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def writes(dut):
    seen = {"variables": sorted(os.environ), "module": dut._name}
    pathlib.Path(os.environ["SQWIRE_JOB"], "seen.json").write_text(json.dumps(seen))
"""
FAILS = """
import cocotb

@cocotb.test()
async def fails(dut):
    raise ArithmeticError("two and two")
"""
HANGS = """
import itertools, os, pathlib, time
import cocotb

@cocotb.test()
async def hangs(dut):
    for beat in itertools.count():
        pathlib.Path(os.environ["SQWIRE_JOB"], "heart").write_text(str(beat))
        time.sleep(0.05)
"""


def build_adder(folder, library):
    source, allowed = folder / "adder.v", ["WIDTHTRUNC"]
    return runner.build([source], "adder", folder / "build", allow_warnings=allowed, cache=library)


@pytest.fixture(scope="module")
def adder(tmp_path_factory, library):
    folder = tmp_path_factory.mktemp("adder")
    (folder / "adder.v").write_text(TRUNCATES)
    return build_adder(folder, library)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Puts test modules where Python finds them."""
    (tmp_path / "cocotb_writes.py").write_text(TESTS)
    (tmp_path / "cocotb_fails.py").write_text(FAILS)
    (tmp_path / "cocotb_hangs.py").write_text(HANGS)
    (tmp_path / "cocotb_nothing.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def test_test_sees_its_job_and_nothing_that_steers_the_tools(adder, modules, monkeypatch):
    monkeypatch.setenv("COCOTB_TEST_FILTER", "none of them")
    monkeypatch.setenv("MAKEFLAGS", "--nonsense")
    before = dict(os.environ), Path.cwd()
    adder.run("cocotb_writes", modules)
    assert (dict(os.environ), Path.cwd()) == before
    seen = (modules / "seen.json").read_text()
    assert '"module": "adder"' in seen
    assert "MAKEFLAGS" not in seen
    assert "PYTEST_CURRENT_TEST" not in seen


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("cocotb_fails", "exit status must be 0, not 1; .*ArithmeticError: two and two; see "),
        ("cocotb_nothing", "exit status must be 0, not 1"),
        ("cocotb_missing", "ModuleNotFoundError: No module named 'cocotb_missing'"),
    ],
)
def test_test_that_fails_is_reported_with_its_reason(adder, modules, module, message):
    with pytest.raises(SimulationError, match=message) as caught:
        adder.run(module, modules)
    assert "\n" not in str(caught.value)
    assert (modules / "test.log").is_file()
    assert "end of the log:" in caught.value.__notes__[0]


def test_run_that_takes_too_long_is_ended_with_all_its_processes(adder, modules):
    started = time.monotonic()
    with pytest.raises(SimulationError, match="must write to its log within 3 seconds"):
        adder.run("cocotb_hangs", modules, timeout_seconds=3)
    assert time.monotonic() - started < 30
    heart = (modules / "heart").read_text()
    time.sleep(0.5)
    assert (modules / "heart").read_text() == heart


def test_run_that_goes_on_is_not_ended(tmp_path):
    log = tmp_path / "test.log"
    with log.open("wb") as stream:
        slow = "for _ in 1 2 3 4 5 6 7; do echo more; sleep 0.4; done; exit 5"
        process = subprocess.Popen(["sh", "-c", slow], stdout=stream)
    assert runner._wait(process, log, timeout_seconds=1.5) == 5


def test_same_build_is_not_made_twice(adder, library):
    made = (adder.folder / "adder").stat().st_mtime_ns
    assert build_adder(adder.folder.parent, library) == adder
    assert (adder.folder / "adder").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("always @(posedge clk) y <= a + ;", "%Error: .*broken.v:2:"),
        # Not named, unlike in the build above.
        ("always @(posedge clk) y <= {a, a};", "%Warning-WIDTHTRUNC: .*broken.v:2:"),
    ],
)
def test_build_that_fails_says_where_and_is_not_taken_for_one(tmp_path, body, message):
    source = tmp_path / "broken.v"
    source.write_text(ADDER.format(body))
    for _ in range(2):
        with pytest.raises(SimulationError, match=message) as caught:
            runner.build([source], "adder", tmp_path / "build")
        assert str(tmp_path / "build" / "build.log") in str(caught.value)


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("verilator", "perl must be on PATH, and is not; install it .*apt install perl"),
        ("icarus", "iverilog must be on PATH, and is not; install it .*apt install iverilog"),
    ],
)
def test_missing_tool_is_named_with_its_remedy(tmp_path, monkeypatch, simulator, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match=message):
        runner.build([], "adder", tmp_path / "build", simulator=simulator)


def test_missing_python_library_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain.find_libpython, "find_libpython", lambda: None)
    with pytest.raises(SimulationError, match=r"library of this Python .* apt install libpython3"):
        runner.build([], "adder", tmp_path / "build")


def test_folder_with_a_blank_is_refused(tmp_path):
    with pytest.raises(SimulationError, match='paths must have no blanks, not ".*my build"'):
        runner.build([], "adder", tmp_path / "my build")


def test_without_a_system_compiler_that_of_a_wheel_serves(tmp_path, monkeypatch):
    pytest.importorskip("ziglang", reason="the optional compiler is not installed")
    source = tmp_path / "two.cpp"
    source.write_text("int two() { return 2; }\n")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        tools = toolchain.compiler(tmp_path)
    assert tools["CXX"] == tools["LINK"] == str(tmp_path / "zig-c++")
    subprocess.run([tools["CXX"], "-c", source, "-o", tmp_path / "two.o"], check=True)
    subprocess.run([tools["AR"], "-rcs", tmp_path / "two.a", tmp_path / "two.o"], check=True)
    assert (tmp_path / "two.a").stat().st_size > 0


def test_without_any_compiler_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    sys.modules.pop("ziglang", None)
    with pytest.raises(SimulationError, match="C.. compiler must be on PATH.*pip install ziglang"):
        toolchain.compiler(tmp_path)
