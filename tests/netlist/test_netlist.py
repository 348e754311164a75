"""What Yosys makes of a network computes the same integers."""

import shutil

import pytest

from sqwire import synth, verify
from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.emit import TOP
from sqwire.compiler.folding import Fold
from sqwire.compiler.tools import Workshop


def test_netlist_of_a_residual_network_equals_the_graph(residual_build, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(residual_build.path, copy)
    result = synth(copy)
    assert result.network.dsp == result.network.bram == 0
    report = verify(Build.load(copy), level="netlist", frames=24)
    assert report.passed, report.lines()
    assert report.frames == 24
    assert report.as_planned


@pytest.fixture(scope="module")
def folded_build(qonnx_builder, tmp_path_factory, library):
    """Two folded layers, with multipliers of their own and programs in block RAM."""
    net = qonnx_builder(0, (8, 4, 4))
    net.conv("conv1", 8, 16, zeros=0.2)
    net.act("conv1", 16)
    net.last = net.node("Flatten", "flatten", [net.last], axis=1)
    net.linear("fc", 256, 8, zeros=0.3)
    folds = {
        "conv1": Fold(4, 4, multiplier="dsp"),
        "fc": Fold(4, 4, multiplier="dsp", lanes_in=1),
    }
    folder = tmp_path_factory.mktemp("folded") / "build"
    build = compile_model(net.model((8,)), folder, Target(folds=folds))
    (folder / "simulation").mkdir()
    (folder / "simulation" / "library").symlink_to(library)
    return build


@pytest.mark.parametrize("board", ["ulx3s_85f", "icebreaker", "tang_nano_9k"])
def test_netlist_of_a_folded_network_equals_the_graph(folded_build, board, tmp_path):
    (tmp_path / "design.il").write_bytes((folded_build.path / "design.il").read_bytes())
    cells = yosys.netlist(Workshop(tmp_path, tmp_path, lambda _: None), TOP, find_board(board))
    assert cells.bram
    assert cells.dsp
    folded_build.add(tmp_path, ["netlist.v"])
    report = verify(Build.load(folded_build.path), level="netlist", frames=4)
    assert report.passed, report.lines()
    assert report.as_planned
