"""What a synthesis leaves in a build folder: everything or nothing."""

import fcntl
import os
from dataclasses import replace

import pytest

from sqwire.boards import flow
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import ARTEFACTS, synth
from sqwire.boards.report import Cells, SynthResult
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.errors import BuildError
from sqwire.compiler.tools import ToolError

ULX3S = find_board("ulx3s_85f")


@pytest.fixture
def build(qonnx_builder, tmp_path):
    """A build of one small layer."""
    net = qonnx_builder(0, (1, 2, 2), bits=2)
    net.conv("conv1", 1, 1, kernel=1, pad=0, zeros=0)
    net.act("conv1", 1, bits=2)
    return compile_model(net.model((1, 2, 2)), tmp_path / "build")


@pytest.fixture
def pretend(monkeypatch):
    """Puts a quick pretence in the place of the tools; counts its runs."""
    runs = []

    def run_flow(design_il, top, inputs, outputs, board, folder, *, logs, **options):
        runs.append(options)
        (logs / "synth.yosys.log").write_text("a log")
        for name in ARTEFACTS:
            (folder / name).write_text(name)
        result = SynthResult(
            board=board.name,
            clock_hz=int(options["clock_hz"]),
            baud=options["baud"],
            seed=options["seed"],
            design_sha256=Build.load(design_il.parent).files["design.il"],
            network=Cells(lut4=5),
            design=Cells(lut4=6),
            fmax_hz=60_000_000,
            usage={},
            tools=flow._versions(board),
            cycles_per_frame=options["cycles_per_frame"],
            seconds={"yosys": 1.5},
        )
        (folder / "synth.json").write_text(result.to_json())
        return result

    monkeypatch.setattr(flow, "run_flow", run_flow)
    return runs


def listing(build):
    return {file.name: file.read_bytes() for file in build.path.iterdir()}


def test_a_real_network_is_built(build):
    stages = []
    result = synth(build, ULX3S, progress=stages.append)
    assert len(stages) == 3
    assert set(Build.load(build.path).files) == {*build.files, *ARTEFACTS}
    assert result.fmax_hz >= 50_000_000
    assert result.frames_per_second == 50e6 / build.plan.cycles_per_frame
    assert not [file for file in build.path.iterdir() if file.is_dir()]
    assert synth(build.path, ULX3S, progress=stages.append) == result
    assert stages[3:] == ["synthesis: unchanged"]


def test_the_artefacts_are_listed_in_the_build(build, pretend):
    result = synth(build, ULX3S)
    again = Build.load(build.path)
    assert set(again.files) == {*build.files, *ARTEFACTS}
    assert SynthResult.load(again.path / "synth.json") == result
    assert result.seconds == {"yosys": 1.5}


def test_the_same_question_is_answered_at_once(build, pretend):
    first = synth(build, ULX3S)
    assert synth(build.path, ULX3S) == first
    assert len(pretend) == 1


@pytest.mark.parametrize(
    "change",
    [{"clock_hz": 55e6}, {"baud": 115200}, {"seed": 2}, {"board": replace(ULX3S, name="other")}],
)
def test_another_question_runs_the_tools(build, pretend, change):
    synth(build, ULX3S)
    synth(build.path, **{"board": ULX3S} | change)
    assert len(pretend) == 2
    Build.load(build.path)


def test_a_result_that_is_too_slow_is_not_taken_again(build, pretend):
    synth(build, ULX3S, clock_hz=70e6, require_clock=False)
    synth(build.path, ULX3S, clock_hz=70e6, require_clock=False)
    assert len(pretend) == 1
    synth(build.path, ULX3S, clock_hz=70e6)
    assert len(pretend) == 2


@pytest.mark.parametrize("error", [ToolError("yosys: no"), KeyboardInterrupt()])
def test_a_run_that_fails_leaves_the_build_as_it_was(build, monkeypatch, error):
    before = listing(build)

    def run_flow(*args, folder=None, **options):
        (args[5] / "design.bit").write_text("half")
        raise error

    monkeypatch.setattr(flow, "run_flow", run_flow)
    with pytest.raises(type(error)):
        synth(build, ULX3S)
    assert listing(build) == before


def test_what_other_stages_add_meanwhile_stays(build, pretend, tmp_path):
    (tmp_path / "verify.json").write_text("{}")
    build.add(tmp_path, ["verify.json"])
    synth(build, ULX3S)  # knows nothing of verify.json
    assert "verify.json" in Build.load(build.path).files


def test_a_build_that_is_compiled_anew_meanwhile_is_not_mixed_with_the_old(
    build, pretend, monkeypatch, tmp_path
):
    run = flow.run_flow

    def run_flow(*args, **options):
        result = run(*args, **options)
        (tmp_path / "design.il").write_text("another")
        build.add(tmp_path, ["design.il"])
        return result

    monkeypatch.setattr(flow, "run_flow", run_flow)
    with pytest.raises(ToolError, match=r"^Build .*: .* was compiled anew; "):
        synth(build, ULX3S)
    assert not set(ARTEFACTS) & set(Build.load(build.path).files)


def test_a_disk_that_fills_up_is_named_in_one_line(build, monkeypatch):
    def run_flow(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flow, "run_flow", run_flow)
    with pytest.raises(ToolError, match=r"^Build .*: it must be writable.*No space left[^\n]*$"):
        synth(build, ULX3S)


def test_what_a_killed_run_left_is_removed(build, pretend):
    left = build.path / ".synth.killed"
    left.mkdir()
    (left / "netlist.v").write_text("half")
    synth(build, ULX3S)
    assert not left.exists()


def test_two_runs_on_one_build_are_refused(build, pretend):
    handle = os.open(build.path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ToolError, match=r"^Build .*: one synthesis at a time"):
            synth(build, ULX3S)
    finally:
        os.close(handle)
    synth(build, ULX3S)


def test_a_folder_that_is_no_build_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"^Build "):
        synth(tmp_path, ULX3S)
