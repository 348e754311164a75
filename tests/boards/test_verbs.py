"""boards, program and run on the command line: one clear line and a status for what goes wrong."""

import errno
import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial

from sqwire import cli
from sqwire.boards.catalog import boards, find_board
from sqwire.boards.device import Device, DeviceError
from sqwire.boards.link.client import Client
from sqwire.boards.link.payloads import Format, Identity
from sqwire.boards.ports import open_port


@pytest.fixture
def sqwire(monkeypatch, capfd):
    """Runs the command; (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sqwire", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capfd.readouterr()

    return run


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2, 6, 6), np.float32))
    return tmp_path / "x.npy"


def refused(result, *words):
    status, _, err = result
    assert status == 1, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("sqwire: ") and "Traceback" not in err
    for word in words:
        assert word in last


def test_boards_are_listed_with_what_their_devices_hold(sqwire):
    status, out, _ = sqwire("boards")
    assert status == 0
    for board in boards():
        assert board.name in out and str(board.resources.lut4) in out
    listed = json.loads(sqwire("boards", "--json")[1])
    assert [one["name"] for one in listed] == [board.name for board in boards()]
    assert listed[0]["resources"]["bram"] == 56


def test_a_port_that_is_not_there_is_one_line(sqwire, residual_build, images):
    result = sqwire("run", residual_build.path, images, "--port", "/dev/ttyNONE")
    refused(result, "/dev/ttyNONE", "it must be there, and is not")


def test_no_board_plugged_in_is_one_line(sqwire, residual_build, images, monkeypatch):
    monkeypatch.setattr("sqwire.boards.ports.list_ports.comports", lambda: [])
    refused(sqwire("run", residual_build.path, images), "--port")


@pytest.fixture
def port():
    """A serial port at which nobody answers."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_board_that_does_not_answer_is_one_line(
    sqwire, residual_build, images, port, monkeypatch
):
    patient = Client.__init__

    def hasty(self, line, name, **_):
        patient(self, line, name, timeout_seconds=0.05, retries=1)

    monkeypatch.setattr(Client, "__init__", hasty)
    result = sqwire("run", residual_build.path, images, "--port", port)
    refused(result, f"Board at {port}: it must answer within 0.05 s, and did not 2 times")


def test_a_port_in_use_is_one_line(sqwire, residual_build, images, port):
    with open_port(port, 3_000_000):
        result = sqwire("run", residual_build.path, images, "--port", port)
    refused(result, port, "it must be free, and another program uses it")


def test_a_forbidden_port_is_one_line_with_the_group(
    sqwire, residual_build, images, port, monkeypatch
):
    def refuse(*_, **__):
        raise serial.SerialException(errno.EACCES, "denied")

    monkeypatch.setattr("sqwire.boards.ports.serial.Serial", refuse)
    result = sqwire("run", residual_build.path, images, "--port", port)
    refused(result, "sudo usermod -aG", Path(port).group())


def test_a_design_that_does_not_fit_is_one_line(sqwire, residual_build, tmp_path, monkeypatch):
    small = find_board("icebreaker")
    small = replace(small, resources=replace(small.resources, lut4=900))
    monkeypatch.setattr("sqwire.boards.catalog.find_board", lambda _: small)
    copy = shutil.copytree(residual_build.path, tmp_path / "copy")
    refused(sqwire("synth", copy, "--board", "icebreaker"), "at most 900 on icebreaker")
    assert not (copy / "design.bit").exists()


def test_a_port_and_a_simulation_are_one_too_many(sqwire, residual_build, images):
    result = sqwire("run", residual_build.path, images, "--port", "/dev/ttyS0", "--simulate")
    refused(result, "--port or --simulate, not both")


def test_a_wrong_shape_is_refused_before_a_board_is_built(sqwire, residual_build, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2, 6, 5), np.float32))
    refused(sqwire("run", residual_build.path, tmp_path / "x.npy", "--simulate"), "shape must be")


def test_a_folder_for_the_output_that_is_not_there_is_one_line(sqwire, residual_build, images):
    result = sqwire("run", residual_build.path, images, "--simulate", "-o", "/nonesuch/y.npy")
    refused(result, "/nonesuch", "must exist")


def test_loading_without_a_bitstream_is_one_line(sqwire, residual_build):
    refused(sqwire("program", residual_build.path), "design.bit", "sqwire synth")


def test_a_clock_that_no_pll_makes_is_one_line(sqwire, residual_build):
    result = sqwire("synth", residual_build.path, "--board", "icebreaker", "--clock", 50)
    refused(result, "iCE40's PLL", "try 49.5 or")
    refused(
        sqwire("synth", residual_build.path, "--board", "icebreaker", "--baud", 9_000_000),
        "UART: baud must be",
    )


def test_a_single_number_for_images_is_one_line(sqwire, residual_build, tmp_path):
    np.save(tmp_path / "x.npy", np.float32(3))
    for verb in ("run", "simulate"):
        words = [verb, residual_build.path, tmp_path / "x.npy", "-o", tmp_path / "y.npy"]
        refused(sqwire(*words), "shape must be", "not ()")


def damaged(kind):
    """A file of numbers with something wrong in it."""
    file = io.BytesIO()
    if kind in ("cut", "spoiled"):
        np.savez_compressed(file, x=np.arange(1000.0))
        whole = file.getvalue()
        return whole[:60] if kind == "cut" else whole[:80] + b"\xff" * 40 + whole[120:]
    np.save(file, np.zeros((3, 2, 6, 6), np.float32))
    shape = {"huge": b"(999999999999,)}", "odd": b"(3, 2, 6, ((((( "}[kind]
    return file.getvalue().replace(b"(3, 2, 6, 6), } ", shape)


@pytest.mark.parametrize("kind", ["cut", "spoiled", "huge", "odd"])
def test_damaged_images_are_one_line(sqwire, residual_build, tmp_path, kind):
    (tmp_path / "x.npy").write_bytes(damaged(kind))
    result = sqwire("run", residual_build.path, tmp_path / "x.npy", "--port", "/dev/ttyNONE")
    refused(result, "x.npy: it must be a .npy array of numbers")


def test_a_rate_beyond_all_rates_is_one_line(sqwire, residual_build, images, port):
    words = ["run", residual_build.path, images, "--port", port, "--baud", 10**12]
    refused(sqwire(*words), "it must take 1000000000000 baud, and does not")


def test_a_board_with_frames_of_another_shape_is_one_line(residual_build):
    design = bytes.fromhex(residual_build.files["design.il"])[:8]
    frame = Format(1, 1, 2, 4, False)
    identity = Identity(4, 50_000_000, 3_000_000, design, (frame,), (frame,))
    device = Device.__new__(Device)
    device.build, device.name = residual_build, "here"
    with pytest.raises(DeviceError, match="here: frames in and out must have 72 and 5 codes as in"):
        device._check(identity)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
@pytest.mark.parametrize("steps", [False, True])
def test_the_largest_numbers_are_the_largest_codes_without_a_warning(residual_build, dtype, steps):
    source = residual_build.graph.input
    if steps:
        source = replace(source, steps=(((0.5,), (source.range.lo, source.range.hi)),))
    most = np.finfo(dtype).max
    x = np.full((1, *source.shape), most)
    assert (source.quantize(x) == source.range.hi).all()
    assert (source.quantize(-x) == source.range.lo).all()
    if not steps:
        with pytest.raises(ValueError, match="values must be between"):
            source.quantize(x, saturate=False)
