"""verify passes a right build, and where something is wrong it names the first layer."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from sqwire.compiler.build import compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.folding import Fold
from sqwire.sim import verify as module
from sqwire.sim.network import simulate_build
from sqwire.sim.report import Finding, Report
from sqwire.sim.verify import stand_in_frames, verify


def changed(build, **attributes):
    """``build`` with another graph or plan than it was made from."""
    other = replace(build)
    other.__dict__.update(attributes)
    return other


@pytest.fixture(scope="module")
def flipped(small_build):
    """The build, and a graph in which the sign of one weight of conv2 is another."""
    nodes = list(small_build.graph.nodes)
    at = next(k for k, node in enumerate(nodes) if node.name == "conv2")
    weight = nodes[at].op.weight.copy()
    where = tuple(np.argwhere(weight)[0])
    weight[where] = -weight[where]
    nodes[at] = replace(nodes[at], op=replace(nodes[at].op, weight=weight))
    return changed(small_build, graph=replace(small_build.graph, nodes=tuple(nodes)))


@pytest.fixture
def vectors(small_build, tmp_path):
    """Writes reference vectors for some codes, changed as told."""

    def write(change=lambda arrays: None, frames=8):
        graph = small_build.graph
        codes = stand_in_frames(graph, frames)
        arrays = {
            "x": (codes.transpose(0, 3, 1, 2) * graph.input.scale).astype(np.float32),
            "y": graph.output.dequantize(graph.run(codes)),
        }
        change(arrays)
        np.savez(tmp_path / "vectors.npz", **arrays)
        return tmp_path / "vectors.npz"

    return write


@pytest.mark.parametrize(("cycles", "count"), [(62_500, 64), (266_658, 15), (4_372_504, 2)])
def test_fewer_frames_stand_in_where_they_take_long(small_build, monkeypatch, cycles, count):
    slow = replace(small_build.plan, cycles_per_frame=cycles)
    said = []
    monkeypatch.setattr(module, "bench_of", lambda build: 1 / 0)
    monkeypatch.setattr(module, "stand_in_frames", lambda graph, n: said.append(n) or codes(n))
    codes = partial(stand_in_frames, small_build.graph)
    with pytest.raises(ZeroDivisionError):
        verify(changed(small_build, plan=slow))
    assert said == [count]


def test_half_of_the_frames_that_stand_in_are_random(small_build):
    graph = small_build.graph
    lowest, random = stand_in_frames(graph, 2)
    assert np.unique(lowest).tolist() == [graph.input.range.lo]
    assert len(np.unique(random)) > 2


def test_right_build_passes_in_every_layer_and_in_its_cycles(small_build):
    said = []
    report = verify(small_build, progress=said.append)
    assert report.passed, report.lines()
    assert report.as_planned, report.lines()
    assert report.cycles_per_frame == small_build.plan.cycles_per_frame
    layers = [f.what.split('"')[1] for f in report.findings if f.what.startswith("layer")]
    assert layers == [node.name for node in small_build.graph.nodes]
    *others, cycles = report.findings
    assert not any(finding.detail for finding in others)
    assert cycles.what == "cycles of the Verilog = plan"
    assert report.frames == 64
    assert report.lines()[-1].endswith("checks on 64 frames, every integer agrees")
    assert report.to_json()["passed"] is True
    assert said[-1] == "simulate 64 frames without stalls, 64 with"


def test_weight_that_differs_is_named_by_its_layer(flipped):
    report = verify(flipped, frames=8)
    assert not report.passed
    first = next(finding for finding in report.findings if not finding.passed)
    assert first.detail.startswith('Layer "conv2", frame ')
    assert 'first: Layer "conv2", frame ' in report.lines()[-1]


def test_layer_is_named_also_where_it_was_not_watched_at_first(flipped, monkeypatch):
    monkeypatch.setattr(module, "_WATCHED_BEATS", 0)
    report = verify(flipped, frames=8)
    assert 'first: Layer "conv2", frame 0' in report.lines()[-1]


def test_vectors_that_agree_pass(small_build, vectors):
    report = verify(small_build, vectors=vectors(), frames=5)
    assert report.passed, report.lines()
    assert report.findings[0] == Finding("integer graph = vectors, 40 values", True)
    assert report.roundings == ()
    assert report.frames == 5


def test_value_that_exact_arithmetic_denies_is_the_references_rounding(small_build, vectors):
    def change(arrays):
        arrays["y"][6, 2] += small_build.graph.output.scale[2]

    report = verify(small_build, vectors=vectors(change))
    assert report.passed, report.lines()
    (rounding,) = report.roundings
    assert (rounding.frame, rounding.index) == (6, (2,))
    assert rounding.reference != rounding.exact
    assert sum("exact arithmetic confirms ours" in line for line in report.lines()) == 1
    (told,) = report.to_json()["float_roundings"]
    assert told["reference"] == rounding.reference


def test_graph_that_exact_arithmetic_denies_fails(small_build, flipped, vectors):
    right = vectors()
    report = verify(flipped, vectors=right)
    assert not report.findings[0].passed
    assert report.findings[0].what.startswith("integer graph = vectors")
    assert report.findings[0].detail.startswith('Layer "fc", frame ')
    assert not report.roundings


def test_vectors_of_another_network_fail(small_build, vectors):
    def change(arrays):
        arrays["y"] = np.roll(arrays["y"], 1, axis=0)

    report = verify(small_build, vectors=vectors(change, frames=64))
    assert not report.findings[0].passed
    assert "are the vectors of this network?" in report.findings[0].detail
    assert not report.roundings


def test_last_outputs_that_wait_for_the_next_frame_are_as_planned(qonnx_builder, tmp_path):
    net = qonnx_builder(0, (2, 3, 20))
    net.conv("conv1", 2, 2)
    net.act("conv1", 2)
    net.conv("conv2", 2, 2)
    net.act("conv2", 2)
    target = Target(folds={"conv1": Fold(2, 2)})
    build = compile_model(net.model((2, 3, 20)), tmp_path / "build", target)
    result = simulate_build(build, stand_in_frames(build.graph, 3))
    assert result.latency_cycles > build.plan.latency_cycles
    report = verify(build, frames=3)
    assert report.passed and report.cycles_per_frame == build.plan.cycles_per_frame


@pytest.mark.parametrize("what", ["latency_cycles", "cycles_per_frame"])
def test_cycles_that_are_not_as_planned_fail(small_build, what):
    slower = replace(small_build.plan, **{what: getattr(small_build.plan, what) + 1})
    report = verify(changed(small_build, plan=slower), frames=4)
    (failed,) = [finding for finding in report.findings if not finding.passed]
    assert failed.what == "cycles of the Verilog = plan"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("y"), "must be a .npz with x and y"),
        (lambda a: a.update(x=a["x"][:3]), "as many frames, one at least, not 3 and 8"),
        (lambda a: a.update(x=a["x"][:0], y=a["y"][:0]), "one at least, not 0 and 0"),
        (lambda a: a.update(x=a["x"][:, :1]), "shape must be"),
        (lambda a: a.update(y=a["y"][:, :1]), "shape must be"),
        (lambda a: a.update(x=np.array([{}] * 8)), "must be a .npz with x and y"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(small_build, vectors, change, message):
    with pytest.raises(ValueError, match=message):
        verify(small_build, vectors=vectors(change))


def test_missing_vectors_are_refused(small_build, tmp_path):
    with pytest.raises(ValueError, match=r"Vectors .*none.npz: it must be a .npz with x and y"):
        verify(small_build, vectors=tmp_path / "none.npz")


def test_every_component_equals_its_compute(small_build):
    report = verify(small_build, level="component", frames=1)
    assert report.passed, report.lines()
    assert len(report.findings) == len(small_build.plan.network.stages)
    assert report.lines()[-1].endswith("checks on 1 frames, every integer agrees")


def test_component_that_is_wrong_is_named(small_build):
    class Wrong:
        """Its component still computes what it did before this changed."""

        def __init__(self, spec):
            self.spec = spec

        def __getattr__(self, name):
            return getattr(self.spec, name)

        def compute(self, x):
            return np.minimum(self.spec.compute(x) + 1, self.spec.outputs[0].range.hi)

    plan = small_build.plan
    stages = [
        replace(stage, spec=Wrong(stage.spec)) if stage.name == "conv2.dot" else stage
        for stage in plan.network.stages
    ]
    wrong = replace(plan, network=replace(plan.network, stages=tuple(stages)))
    report = verify(changed(small_build, plan=wrong), level="component", frames=1)
    first = next(finding for finding in report.findings if not finding.passed)
    assert first.what.startswith("conv2.dot ")
    assert 'stage "conv2.dot": stalls none, port o, beat ' in first.detail


def test_netlist_that_was_not_made_yet_is_asked_for(small_build):
    with pytest.raises(ValueError, match="must hold netlist.v, and does not; run: sqwire synth "):
        verify(small_build, level="netlist")


def test_simulated_build_gives_what_the_graph_says(small_build):
    codes = stand_in_frames(small_build.graph, 12)
    result = simulate_build(small_build, codes, stalls="both")
    assert np.array_equal(result.y.reshape(12, -1), small_build.graph.run(codes).reshape(12, -1))


def test_codes_outside_the_range_are_refused(small_build):
    codes = stand_in_frames(small_build.graph, 12)
    codes[3, 2, 1, 0] = 16
    with pytest.raises(ValueError, match=r"codes from 0 to 15, not 16 at \[3, 2, 1, 0\]"):
        simulate_build(small_build, codes)


def test_stand_in_frames_begin_with_the_extremes_and_are_always_the_same(small_build):
    graph = small_build.graph
    frames = stand_in_frames(graph)
    assert (frames[0] == 0).all()
    assert (frames[1] == 15).all()
    assert np.array_equal(np.unique(frames[2:20]), [0, 15])
    assert np.array_equal(np.unique(frames[20:]), np.arange(16))
    assert np.array_equal(frames, stand_in_frames(graph))


def test_report_puts_the_first_failure_into_its_last_line():
    findings = (Finding("a", True), Finding("b", False, "b is wrong"), Finding("c", False))
    report = Report("network", 3, findings)
    assert not report.passed
    assert report.lines() == [
        "ok     a",
        "FAILED b: b is wrong",
        "FAILED c",
        "network: 3 checks on 3 frames, 2 failed; first: b is wrong",
    ]
