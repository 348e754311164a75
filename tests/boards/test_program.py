"""Loading a bitstream: what is missing is named, with how to get it."""

import json
import os
import shutil

import pytest

from sqwire.boards.errors import DeviceError
from sqwire.boards.program import program
from sqwire.boards.report import Cells, SynthResult
from sqwire.compiler.build import Build


@pytest.fixture
def build(residual_build, tmp_path):
    """A build that says that it was synthesised for the iCEBreaker."""
    shutil.copytree(residual_build.path, tmp_path / "build")
    result = SynthResult(
        board="icebreaker",
        clock_hz=18_000_000,
        baud=3_000_000,
        seed=1,
        design_sha256=residual_build.files["design.il"],
        network=Cells(),
        design=Cells(),
        fmax_hz=20_000_000,
        usage={},
        tools={},
    )
    (tmp_path / "synth.json").write_text(result.to_json())
    (tmp_path / "design.bit").write_text("bits")
    return Build.load(tmp_path / "build").add(tmp_path, ["design.bit", "synth.json"])


def programmer(folder, monkeypatch, script):
    tools = folder / "tools"
    tools.mkdir()
    (tools / "iceprog").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "iceprog").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


def test_the_programmer_gets_the_bitstream(build, tmp_path, monkeypatch):
    programmer(
        tmp_path, monkeypatch, f'cat "$1" > {tmp_path}/loaded; echo "$#" >> {tmp_path}/loaded'
    )
    assert program(build).name == "icebreaker"
    assert (tmp_path / "loaded").read_text() == "bits1\n"


def test_a_missing_programmer_is_named_with_its_install_line(build, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DeviceError, match=r"^Programmer iceprog: .* \(apt install fpga-icestorm\)$"
    ):
        program(build)


def test_a_programmer_that_fails_is_quoted(build, tmp_path, monkeypatch):
    programmer(tmp_path, monkeypatch, "echo no device; exit 3")
    with pytest.raises(DeviceError, match=r"must exit with 0, not 3: no device; is .* plugged in"):
        program(build)


def test_a_build_without_a_bitstream_is_refused(residual_build):
    with pytest.raises(
        DeviceError, match=r"it must hold design.bit, and does not; run: sqwire synth"
    ):
        program(residual_build)


def test_a_bitstream_of_another_design_is_refused(build, tmp_path):
    document = json.loads((build.path / "synth.json").read_text())
    document["design_sha256"] = "00" * 32
    (tmp_path / "synth.json").write_text(json.dumps(document))
    with pytest.raises(DeviceError, match="is of an older one; run: sqwire synth"):
        program(build.add(tmp_path, ["synth.json"]))
