"""A network with two inputs and three outputs, whose inputs cross: in Verilog and as a netlist."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from sqwire import verbs
from sqwire.boards.catalog import find_board
from sqwire.boards.flow import synth
from sqwire.boards.tools import SynthError
from sqwire.compiler.build import Build
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim import network
from sqwire.sim.network import bench_of
from sqwire.sim.play import Play, Recording, Result, Transfers
from sqwire.sim.report import Report
from sqwire.sim.verify import stand_in_frames, verify

OUTPUTS = ("fc_out", "trunk.act_out", "other_out")


@pytest.fixture(scope="module")
def build(crossed_build, library):
    """:func:`crossed_build`, whose simulation shares Verilator's library with the others."""
    shared = crossed_build.path / "simulation" / "library"
    if not shared.exists():
        shared.parent.mkdir(exist_ok=True)
        shared.symlink_to(library)
    return crossed_build


@pytest.fixture
def vectors(build, tmp_path):
    """Writes reference vectors for some codes, changed as told."""

    def write(change=lambda arrays: None, frames=8):
        graph = build.graph
        codes = stand_in_frames(graph, frames)
        arrays = {}
        for number, (source, x) in enumerate(zip(graph.inputs, codes, strict=True)):
            arrays[f"x{number}"] = (x.transpose(0, 3, 1, 2) * source.scale).astype(np.float32)
        for number, (output, y) in enumerate(zip(graph.outputs, graph.run(*codes), strict=True)):
            arrays[f"y{number}"] = output.dequantize(y)
        change(arrays)
        np.savez(tmp_path / "vectors.npz", **arrays)
        return tmp_path / "vectors.npz"

    return write


def test_ports_are_in_the_order_of_the_file(build):
    assert [source.name for source in build.graph.inputs] == ["x", "side"]
    assert tuple(output.name for output in build.graph.outputs) == OUTPUTS
    assert [port.frame for port in build.inputs] == [25, 25]
    assert [port.frame for port in build.outputs] == [1, 9, 25]


def test_every_layer_and_output_agrees_in_the_planned_cycles(build, vectors):
    report = verify(build, vectors=vectors(frames=40))
    assert report.passed, report.lines()
    assert report.frames == 40
    compared = [f.what for f in report.findings if "with stalls" in f.what]
    assert compared == [f'Verilog = graph, with stalls, output "{name}"' for name in OUTPUTS]


def test_every_component_equals_its_compute(build):
    report = verify(build, level="component", frames=1)
    assert report.passed, report.lines()


def test_the_netlist_is_made_and_agrees_though_the_link_has_no_room(build, library, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(build.path, copy, ignore=shutil.ignore_patterns("simulation"))
    (copy / "simulation").mkdir()
    (copy / "simulation" / "library").symlink_to(library)
    small = replace(find_board("ulx3s_85f"), ring_bytes=150)
    with pytest.raises(
        SynthError,
        match="frames of 2 inputs must have at most 73 bytes together on ulx3s_85f, not 75; give "
        "the network one input with all channels, or put sqwire_top into .* netlist.v is in ",
    ):
        synth(Build.load(copy), small)
    assert "netlist.v" in Build.load(copy).files
    report = verify(Build.load(copy), level="netlist", frames=6)
    assert report.passed, report.lines()


def test_vectors_of_one_output_that_differ_name_its_layer(build, vectors):
    def change(arrays):
        arrays["y1"] = np.roll(arrays["y1"], 1, axis=0)

    report = verify(build, vectors=vectors(change, frames=64), level="component", frames=1)
    failed = [finding for finding in report.findings if not finding.passed]
    assert [finding.detail.split(",")[0] for finding in failed] == ['Layer "trunk.act"']


def test_a_value_of_one_output_is_decided_by_exact_arithmetic(build, vectors):
    def change(arrays):
        arrays["y2"][5, 1, 2, 3] += build.graph.outputs[2].scale[1]

    report = verify(build, vectors=vectors(change), level="component", frames=1)
    assert report.passed, report.lines()
    (rounding,) = report.roundings
    assert (rounding.output, rounding.frame, rounding.index) == ("other_out", 5, (1, 2, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("x1"), "must be a .npz with x0, x1, y0, y1 and y2"),
        (lambda a: a.pop("y2"), "must be a .npz with x0, x1, y0, y1 and y2"),
        (lambda a: a.update(y1=a["y1"][:3]), "as many frames, one at least, not 8, 8, 8, 3 and 8"),
        (lambda a: a.update(x1=a["x0"]), 'Input "side": shape must be'),
    ],
)
def test_vectors_that_do_not_fit_are_refused(build, vectors, change, message):
    with pytest.raises(ValueError, match=message):
        verify(build, vectors=vectors(change))


def test_circuit_that_differs_at_one_output_is_named_by_its_layer(build):
    nodes = list(build.graph.nodes)
    at = next(k for k, node in enumerate(nodes) if node.name == "late")
    nodes[at] = replace(nodes[at], op=replace(nodes[at].op, weight=-nodes[at].op.weight))
    other = replace(build)
    other.__dict__["graph"] = replace(build.graph, nodes=tuple(nodes))
    report = verify(other, frames=4)
    assert 'first: Layer "late", frame ' in report.lines()[-1]
    wrong = [f.what for f in report.findings if not f.passed and "without stalls" in f.what]
    assert wrong == ['Verilog = graph, without stalls, output "other_out"']


def test_a_reset_in_mid_frame_leaves_nothing_behind_on_any_port(build):
    codes = stand_in_frames(build.graph, 6)
    frames = tuple(x.reshape(6, 25, -1) for x in codes)
    whole = Play.frames(frames, build.outputs)
    bench = bench_of(build)
    plays = [replace(whole, stalls="both", cut_after=count) for count in (1, 7, 30)]
    for recording in bench.run(plays):
        result = Result.of(recording, build.outputs, 6)
        assert result.violations == ()
        for got, want in zip(result.y, build.graph.run(*codes), strict=True):
            assert np.array_equal(got.reshape(-1), want.reshape(-1))


def test_ports_stall_each_in_its_own_way(build):
    """With stalls at the sources only, the two inputs do not keep step."""
    codes = stand_in_frames(build.graph, 40)
    frames = tuple(x.reshape(40, 25, -1) for x in codes)
    cycles = {
        kind: bench_of(build).simulate(frames, kind)[0].check().cycles
        for kind in ("none", "source", "sink")
    }
    assert cycles["none"] == 39 * 25 + build.plan.latency_cycles
    # Either input pauses half of the time: both together let through a quarter.
    assert cycles["source"] > 2.2 * cycles["none"]
    assert cycles["sink"] > cycles["none"]


def test_frames_that_are_not_as_many_are_refused(build):
    a, b = (x.reshape(4, 25, -1) for x in stand_in_frames(build.graph, 4))
    for wrong in ((a,), (a, b[:3])):
        with pytest.raises(ValueError, match="as many for each of 2 inputs"):
            bench_of(build).simulate(wrong, "none")


def test_simulate_wants_an_array_for_each_input(build):
    x = np.zeros((2, 2, 5, 5))
    with pytest.raises(ValueError, match="there must be 2 arrays, not 1"):
        verbs.simulate(build, x)


def test_simulate_waits_as_long_as_the_latency_says(build, monkeypatch):
    given = {}
    monkeypatch.setattr(network, "simulate", lambda *_, **more: given.update(more) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verbs.simulate(build, np.zeros((2, 2, 5, 5)), np.zeros((2, 1, 5, 5)))
    assert given["latency_cycles"] == build.plan.latency_cycles


def test_what_is_wrong_with_one_output_names_it():
    ports = (Port(Beat(Range.unsigned(4), 1), 2), Port(Beat(Range.unsigned(4), 1), 1))
    last = np.array([False, True, False, False])
    outputs = (
        Transfers(np.zeros((4, 1), int), last, np.arange(4)),
        Transfers(np.zeros((3, 1), int), np.ones(3, bool), np.arange(3) + 9),
    )
    result = Result.of(Recording(outputs, 0, ()), ports, 2)
    assert result.violations == (
        "m_axis0_tlast is low on transfer 1 of frame 1",
        "1 transfers more on m_axis1 than 2 frames have",
    )
    assert (result.latency_cycles, result.cycles) == (10, 12)


def test_only_of_several_inputs_frames_may_follow_faster_than_planned():
    report = Report("network", 3, (), (), 15.5, 30, 16, 30, inputs=2)
    assert report.as_planned
    assert not replace(report, inputs=1).as_planned
    assert not replace(report, cycles_per_frame=16.5).as_planned
    assert not replace(report, latency_cycles=29).as_planned
