"""Layers are folded as a rate or a board asks for, and compute and take what is said."""

import dataclasses

import numpy as np
import pytest

from sqwire.compiler import frontend, passes
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import Cost
from sqwire.compiler.folding import Fold
from sqwire.compiler.plan import plan
from sqwire.sim.verify import verify

PLENTY = Cost(1e9, 1e9, 10**6, 10**6)
# Every layer with weights on a few lanes.
FOLDS = {"conv1": Fold(4, 2), "conv2": Fold(2, 2), "conv3": Fold(4, 4), "fc": Fold(1, 1)}
# The same with inputs of their own for each lane.
SPLIT = {
    name: Fold(lanes, lanes, lanes, by_input=True)
    for name, lanes in {"conv1": 2, "conv2": 8, "conv3": 4, "fc": 1}.items()
}


@pytest.fixture
def residual(residual_model):
    return residual_model(0, size=8, channels=8)


@pytest.fixture
def graph(residual):
    return passes.optimize(frontend.import_qonnx(residual))


@pytest.fixture
def x(graph):
    rng = np.random.default_rng(0)
    return rng.integers(0, graph.input.range.hi + 1, (3, *graph.input.tensor.shape))


def answer(planned, x):
    port = planned.network.inputs[0]
    return planned.network.compute(port.beats(x)).reshape(len(x), -1)


def test_without_a_target_every_layer_is_spatial(graph):
    planned = plan(graph)
    assert not planned.folds
    assert {layer.engine for layer in planned.layers} == {"spatial", "stream"}


@pytest.mark.parametrize("folds", [FOLDS, SPLIT], ids=["rings", "split"])
def test_folded_layers_compute_what_the_graph_does(graph, x, folds):
    planned = plan(graph, Target(folds=folds))
    folded = [layer.name for layer in planned.layers if layer.engine == "folded"]
    assert folded == ["conv1.act", "conv2.act", "conv3.act", "fc"]
    assert np.array_equal(answer(planned, x), graph.run(x).reshape(3, -1))


@pytest.mark.parametrize("interval", [128, 700, 2000, 20_000])
def test_rate_is_kept(graph, x, interval):
    planned = plan(graph, Target(interval, PLENTY))
    assert planned.cycles_per_frame <= interval
    assert np.array_equal(answer(planned, x), graph.run(x).reshape(3, -1))


def test_lower_rate_takes_fewer_luts(graph):
    luts = [
        sum(layer.luts for layer in plan(graph, Target(interval, PLENTY)).layers)
        for interval in (128, 2000, 20_000)
    ]
    assert luts == sorted(luts, reverse=True)


def test_lanes_of_a_slow_layer_have_inputs_of_their_own(graph):
    planned = plan(graph, Target(20_000, PLENTY))
    assert any(fold.by_input for fold in planned.folds.values())


def test_fit_is_faster_on_a_larger_board(graph):
    cycles = [
        plan(graph, Target(None, dataclasses.replace(PLENTY, luts=luts))).cycles_per_frame
        for luts in (5_000, 8_000, 1e9)
    ]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[-1] == 64


@pytest.mark.parametrize("folds", [FOLDS, SPLIT], ids=["rings", "split"])
def test_circuit_equals_the_graph_in_the_cycles_of_the_plan(residual, tmp_path, folds):
    build = compile_model(residual, tmp_path / "build", Target(folds=folds))
    assert Build.load(build.path).plan.to_json() == build.plan.to_json()
    report = verify(build, frames=8)
    assert report.passed, report.lines()
    assert report.as_planned, report.lines()
