"""Plans for devices that have no LUT RAM, or no multipliers."""

import dataclasses

import pytest

from sqwire.compiler import frontend, passes
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.choose import Chooser, Target
from sqwire.compiler.cost import Cost, cost
from sqwire.compiler.narrow import Streams
from sqwire.compiler.plan import plan
from sqwire.hw.beat import Beat
from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.engine import Folded
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.sim.verify import verify

PLENTY = Cost(1e9, 1e9, 10**6, 10**6)
INTERVAL = 20_000


@pytest.fixture
def alike(qonnx_builder):
    """Four layers that take as much as each other."""
    net = qonnx_builder(0, (8, 6, 6))
    for k in range(4):
        net.conv(f"conv{k}", 8, 8, zeros=0.7)
        net.act(f"conv{k}", 8)
    return net.model((8, 6, 6))


@pytest.fixture
def graph(alike):
    return passes.optimize(frontend.import_qonnx(alike))


def total(planned, fabric):
    return cost((stage.spec for stage in planned.network.stages), fabric)


def engines(planned):
    return [s.spec for s in planned.network.stages if isinstance(s.spec, Folded)]


def test_memories_are_blocks_where_cells_are_dear_and_cells_where_blocks_are(graph):
    few_cells, few_blocks = (
        plan(graph, Target(INTERVAL, dataclasses.replace(PLENTY, **room), fabric="ice40"))
        for room in ({"luts": 2600}, {"brams": 16})
    )
    one, other = total(few_cells, "ice40"), total(few_blocks, "ice40")
    assert one.luts <= 2600 < other.luts
    assert other.brams <= 16 < one.brams


def test_where_prices_move_all_layers_that_are_alike_some_are_moved(graph):
    chooser = Chooser(graph, Streams(graph, "ice40"))
    blocks, cells = (
        chooser.within(INTERVAL, dataclasses.replace(PLENTY, **room))
        for room in ({"luts": 2600}, {"brams": 16})
    )
    mixed = list(chooser._between(blocks, cells))
    assert len(mixed) == 3
    costs = [one.cost for one in (cells, *mixed, blocks)]
    assert [c.brams for c in costs] == sorted({c.brams for c in costs})
    assert [c.luts for c in costs] == sorted({c.luts for c in costs}, reverse=True)


def test_without_multipliers_none_are_planned(graph):
    for fabric, multiply in (("ice40up", True), ("ice40", False)):
        planned = plan(graph, Target(INTERVAL, PLENTY, fabric=fabric))
        circuits = [circuit for spec in engines(planned) for circuit in spec.requantise]
        assert any(isinstance(circuit, Affine) for circuit in circuits) == multiply
        assert not any(spec.multiplier == "dsp" for spec in engines(planned))
        assert bool(total(planned, fabric).dsps) == multiply


def test_a_queue_of_few_bits_is_flip_flops_without_lut_ram_a_longer_one_a_block():
    short, long = (Queue(Beat(Range(0, 3), 1), depth) for depth in (16, 200))
    assert [cost([queue], "ice40").brams for queue in (short, long)] == [0, 1]
    assert [cost([queue]).brams for queue in (short, long)] == [0, 0]
    assert cost([short], "ice40").ffs >= 32


def test_circuit_for_a_device_without_lut_ram_equals_the_graph(alike, tmp_path):
    room = dataclasses.replace(PLENTY, luts=2600)
    build = compile_model(alike, tmp_path / "build", Target(INTERVAL, room, fabric="ice40"))
    assert Build.load(build.path).plan.to_json() == build.plan.to_json()
    assert build.plan.fabric == "ice40"
    report = verify(build, frames=6)
    assert report.passed, report.lines()
    assert report.as_planned, report.lines()
