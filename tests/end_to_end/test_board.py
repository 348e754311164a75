"""Real images, the real client, a serial port, the whole board: what comes back is PyTorch's."""

import json
import shutil
import sys

import numpy as np
import pytest

from sqwire import cli, simulated
from sqwire.boards.catalog import find_board
from sqwire.boards.device import Device, DeviceError
from sqwire.compiler.build import compile_model

IMAGES = 50


@pytest.fixture(scope="module")
def board(digits_build):
    """An ULX3S with the digit network, its PLL and the link, in Verilator."""
    return simulated.board_for(digits_build, find_board("ulx3s_85f"))


def test_fifty_images_through_a_serial_port_equal_torch(board, digits_build, digits, trained):
    x = digits.x[:IMAGES]
    graph = digits_build.graph
    with board.run() as running:
        with Device(running.port, digits_build, timeout_seconds=60) as device:
            codes = device.run(graph.input.quantize(x))
            y = device.infer(x)
            one = device.submit(x[7]).result(60)
            assert device.traffic.again == 0
            assert device.status().network_errors == 0
        report = running.stop()
    assert np.array_equal(codes, graph.run(graph.input.quantize(x)))
    last = graph.tensors[graph.nodes[-1].name]
    assert np.array_equal(graph.output.codes(trained.frozen(x), last), codes)
    assert np.array_equal(y, graph.output.dequantize(codes))
    assert np.array_equal(one, y[7])
    assert report.broken == 0
    assert report.clock_hz == 50_000_000


def test_the_verb_does_the_same_at_any_rate(digits_build, digits, tmp_path, monkeypatch, capfd):
    graph = digits_build.graph
    np.save(tmp_path / "x.npy", digits.x[:3])
    # A build keeps one simulated board, and the other tests want theirs.
    copy = shutil.copytree(digits_build.path, tmp_path / "copy")
    words = ["run", copy, tmp_path / "x.npy", "--simulate", "--baud", 2_000_000]
    words += ["--json", "-o", tmp_path / "y.npy"]
    monkeypatch.setattr(sys, "argv", ["sqwire", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    assert not stop.value.code, err
    assert "send 3 frames at 2000000 baud" in err
    assert json.loads(out)["answered"] == 5  # a reset, an identity, three frames
    codes = graph.run(graph.input.quantize(digits.x[:3]))
    assert np.array_equal(np.load(tmp_path / "y.npy"), graph.output.dequantize(codes))


def test_another_design_on_the_board_is_refused(board, residual_build):
    with (
        board.run() as running,
        pytest.raises(DeviceError, match=r"it must hold the design \w{16} of .*; run: sqwire prog"),
    ):
        Device(running.port, residual_build, timeout_seconds=60)


def test_images_of_another_shape_are_refused_before_anything_is_sent(board, digits_build):
    with (
        board.run() as running,
        Device(running.port, digits_build, timeout_seconds=60) as device,
        pytest.raises(ValueError, match="shape must be"),
    ):
        device.infer(np.zeros((1, 1, 8, 7), np.float32))


def test_images_larger_than_any_message_come_back_as_the_graph_has_them(qonnx_builder, tmp_path):
    net = qonnx_builder(0, (2, 190, 180), bits=8)
    net.conv("conv", 2, 2)
    net.act("conv", 2, bits=8)
    build = compile_model(net.model((2, 190, 180)), tmp_path / "build")
    board = simulated.board_for(build, find_board("ulx3s_85f"), clock_hz=25_000_000)
    x = np.random.default_rng(0).integers(0, 256, (2, 190, 180, 2))
    with board.run() as running, Device(running.port, build, timeout_seconds=60) as device:
        frame = device.identity.inputs[0]
        assert frame.is_cut and frame.frame_bytes(packed=False) > 65535
        # Waits as long as the network takes for what may be unanswered, by its plan.
        cycles = build.plan.latency_cycles + 8 * build.plan.cycles_per_frame
        assert device._client.timeout_seconds > 60 + cycles / 25e6
        assert np.array_equal(device.run(x), build.graph.run(x))
        assert device.traffic.again == 0
        assert device.status().network_errors == 0
