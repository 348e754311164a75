"""What Yosys makes of a network computes the same integers."""

import shutil

import pytest

from sqwire import synth, verify
from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.boards.families import FAMILIES
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
def folded(qonnx_builder, tmp_path_factory, library):
    """Compiles two folded layers, with programs in block RAM, for memories of a fabric."""

    def build(fabric, **options):
        return _folded(
            qonnx_builder, tmp_path_factory.mktemp("folded") / "build", library, fabric, **options
        )

    return build


def _folded(qonnx_builder, folder, library, fabric, **options):
    net = qonnx_builder(0, (8, 4, 4))
    net.conv("conv1", 8, 16, zeros=0.2)
    net.act("conv1", 16)
    net.last = net.node("Flatten", "flatten", [net.last], axis=1)
    net.linear("fc", 256, 8, zeros=0.3)
    folds = {
        "conv1": Fold(4, 4, **options),
        "fc": Fold(4, 4, lanes_in=1, **options),
    }
    build = compile_model(net.model((8,)), folder, Target(folds=folds, fabric=fabric))
    (folder / "simulation").mkdir()
    (folder / "simulation" / "library").symlink_to(library)
    return build


@pytest.fixture(scope="module")
def ecp5_build(folded):
    """With multipliers of their own."""
    return folded("ecp5", multiplier="dsp")


@pytest.mark.parametrize("board", ["ulx3s_85f", "icebreaker", "tang_nano_9k"])
def test_netlist_of_a_folded_network_equals_the_graph(ecp5_build, board, tmp_path):
    cells = equal_as_a_netlist(ecp5_build, find_board(board), tmp_path)
    assert cells.bram
    assert cells.dsp


@pytest.mark.parametrize("name", ["icebreaker", "tang_nano_9k"])
def test_netlist_of_a_network_planned_for_devices_without_lut_ram_has_none(folded, name, tmp_path):
    board = find_board(name)
    build = folded(FAMILIES[board.family].fabric(board), block_luts=40)
    assert Build.load(build.path).plan.to_json() == build.plan.to_json()
    cells = equal_as_a_netlist(build, board, tmp_path)
    stores = [store for stage in build.plan.network.stages for store in _stores(stage.spec)]
    assert cells.bram == sum(store.blocks for store in stores)
    assert cells.lutram == 0


def _stores(spec):
    return getattr(spec, "stores", ())


def equal_as_a_netlist(build, board, tmp_path):
    """The cells of what Yosys makes of a build, which must compute what its graph does."""
    (tmp_path / "design.il").write_bytes((build.path / "design.il").read_bytes())
    cells = yosys.netlist(Workshop(tmp_path, tmp_path, lambda _: None), TOP, board)
    build.add(tmp_path, ["netlist.v"])
    report = verify(Build.load(build.path), level="netlist", frames=4)
    assert report.passed, report.lines()
    assert report.as_planned
    return cells
