"""Several inputs and outputs through a serial port: the whole board, and what the graph says."""

import json
import sys

import numpy as np
import pytest

from sqwire import cli, simulated
from sqwire.boards.catalog import find_board
from sqwire.boards.device import Device
from sqwire.compiler.build import compile_model
from sqwire.sim.verify import stand_in_frames


def test_the_verb_takes_two_inputs_and_keeps_three_outputs(
    crossed_build, tmp_path, monkeypatch, capfd
):
    graph, count = crossed_build.graph, 5
    codes = stand_in_frames(graph, count)
    x = {
        f"x{k}": (own.transpose(0, 3, 1, 2) * source.scale).astype(np.float32)
        for k, (source, own) in enumerate(zip(graph.inputs, codes, strict=True))
    }
    np.savez(tmp_path / "x.npz", **x)
    words = ["run", crossed_build.path, tmp_path / "x.npz", "--simulate", "--json"]
    monkeypatch.setattr(sys, "argv", ["sqwire", *map(str, words)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    assert not stop.value.code, err
    facts = json.loads(out)
    assert (facts["frames"], facts["output"], facts["again"]) == (count, "y.npz", 0)
    assert facts["answered"] == 2 + count  # a reset, an identity, the frames
    with np.load(tmp_path / "y.npz") as results:
        assert sorted(results) == ["y0", "y1", "y2"]
        for k, (output, y) in enumerate(zip(graph.outputs, graph.run(*codes), strict=True)):
            assert np.array_equal(results[f"y{k}"], output.dequantize(y))


def test_a_large_picture_gives_two_heads_while_it_comes(qonnx_builder, tmp_path):
    net = qonnx_builder(0, (2, 64, 40), bits=8)
    net.conv("trunk", 2, 3, stride=2)
    trunk = net.act("trunk", 3)
    net.conv("far", 3, 2, stride=2)
    far = net.act("far", 2)
    net.last = trunk
    net.conv("near", 3, 4, kernel=1, pad=0)
    net.act("near", 4)
    build = compile_model(net.model((4, 32, 20), **{far: (2, 16, 10)}), tmp_path / "build")
    board = simulated.board_for(build, find_board("ulx3s_85f"), clock_hz=25_000_000)
    x = np.random.default_rng(0).integers(0, 256, (4, 64, 40, 2))
    with board.run() as running, Device(running.port, build, timeout_seconds=60) as device:
        assert device.identity.frames_are_cut
        assert [frame.messages for frame in device.identity.outputs] == [6, 1]
        results = device.run(x)
        one = device.submit(x[2].transpose(2, 0, 1) * build.graph.input.scale).result(60)
        assert device.traffic.again == 0
        assert device.status().network_errors == 0
    wanted = build.graph.run(x)
    for got, want, output, own in zip(results, wanted, build.graph.outputs, one, strict=True):
        assert np.array_equal(got, want)
        assert np.array_equal(own, output.dequantize(want)[2])
