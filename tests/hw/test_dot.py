import numpy as np
import pytest
from amaranth.sim import Simulator

from sqwire.hw.dot import Dot
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U4 = Range.unsigned(4)


def random_weight(seed, rows, lanes, zeros, most=7):
    rng = np.random.default_rng(seed)
    return rng.integers(-most, most + 1, (rows, lanes)) * (rng.random((rows, lanes)) >= zeros)


def dot(weight, bias=None, lane=U4, beats=4):
    weight = np.array(weight)
    bias = np.zeros(len(weight), int) if bias is None else np.array(bias)
    return Dot(weight, bias, (lane,) * weight.shape[1], beats)


def extremes(spec, frames=2, seed=0):
    """The lowest and highest input of every lane, what makes each row extreme, and random ones."""
    lo = np.array([r.lo for r in spec.ranges])
    hi = np.array([r.hi for r in spec.ranges])
    rows = [lo, hi]
    for row in spec.weight:
        rows += [np.where(row > 0, hi, lo), np.where(row > 0, lo, hi)]
    rng = np.random.default_rng(seed)
    while len(rows) % spec.beats or len(rows) < frames * spec.beats:
        rows.append(rng.integers(lo, hi + 1))
    return np.array(rows).reshape(-1, spec.beats, len(lo))


def test_compute_is_the_matrix_product_plus_bias():
    spec = dot([[1, 2, 3], [-1, 0, 7]], [10, -20])
    x = np.array([[[1, 2, 3]]])
    assert spec.compute(x).tolist() == [[[24, 0]]]


def test_compute_is_exact_where_float64_is_not():
    spec = Dot(np.array([[2**40, 1]]), np.array([0]), (Range(0, 2**20), U4))
    assert spec.compute(np.array([[[2**20, 1]]])).tolist() == [[[2**60 + 1]]]


def test_row_ranges_are_the_exact_interval():
    spec = Dot(np.array([[2, -3]]), np.array([5]), (Range(0, 4), Range(-1, 2)))
    assert spec.row_ranges == (Range(-1, 16),)


def test_all_zero_row_emits_bias():
    spec = dot([[0, 0], [1, -1]], [-7, 0])
    check_operator(spec, extremes(spec))


def test_all_zero_matrix_passes_beats():
    spec = dot([[0, 0], [0, 0]], [3, 0])
    check_operator(spec, extremes(spec))


def test_single_powers_of_two_need_no_cycle():
    spec = dot([[4, 0], [0, 1]])
    assert spec.latency_cycles == 0
    check_operator(spec, extremes(spec))


def test_row_of_negative_weights_is_negated():
    spec = dot([[-1, -2], [3, 1]])
    timing = check_operator(spec, extremes(spec))
    assert timing.first_out_cycle == spec.latency_cycles == 3


def test_lanes_with_their_own_ranges():
    weight = np.array([[1, -2, 3, 5], [7, 7, 7, 7]])
    ranges = (Range(0, 1), Range(-8, 7), Range(3, 3), Range(0, 200))
    spec = Dot(weight, np.array([1, -1]), ranges, 5)
    check_operator(spec, extremes(spec))


@pytest.mark.parametrize(
    "seed, rows, lanes, zeros", [(0, 1, 1, 0), (1, 4, 18, 0.5), (2, 8, 36, 0.9)]
)
def test_component_equals_compute_at_extremes_and_random(seed, rows, lanes, zeros):
    weight = random_weight(seed, rows, lanes, zeros)
    bias = np.random.default_rng(seed).integers(-9, 10, rows)
    spec = dot(weight, bias)
    timing = check_operator(spec, extremes(spec, frames=8))
    assert timing.first_out_cycle == spec.latency_cycles


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="one a lane"):
        Dot(np.ones((2, 3), int), np.zeros(2, int), (U4,) * 2)
    with pytest.raises(ValueError, match="one a row"):
        Dot(np.ones((2, 3), int), np.zeros(3, int), (U4,) * 3)
    with pytest.raises(TypeError, match="integers"):
        Dot(np.ones((2, 3)), np.zeros(2, int), (U4,) * 3)


def test_accumulators_beyond_int64_are_refused():
    spec = Dot(np.full((1, 3), 2**31), np.array([0]), (Range(0, 2**32),) * 3)
    with pytest.raises(ValueError, match=r"below 2\*\*62"):
        _ = spec.row_ranges


@pytest.mark.parametrize("beats", [1, 4, 40])
def test_a_large_one_never_stops_and_gives_the_same(monkeypatch, beats):
    monkeypatch.setattr("sqwire.hw.dot._ENDLESS_BITS", 20)
    spec = dot(random_weight(0, 4, 6, 0.3), beats=beats)
    stopping = spec.sum_cycles
    assert spec.endless and spec.latency_cycles == stopping + 1
    check_operator(spec, extremes(spec, frames=3))


def test_only_a_large_one_has_a_queue(monkeypatch):
    weight = random_weight(0, 4, 6, 0.3)
    assert not dot(weight).endless and not dot(weight).stores
    monkeypatch.setattr("sqwire.hw.dot._ENDLESS_BITS", 20)
    (queue,) = dot(weight).stores
    assert queue.depth >= dot(weight).latency_cycles + 1
    assert queue.width == dot(weight).outputs[0].bits


def test_a_large_one_takes_no_more_beats_than_its_queue_holds_while_the_sink_waits(monkeypatch):
    monkeypatch.setattr("sqwire.hw.dot._ENDLESS_BITS", 20)
    spec = dot(random_weight(0, 4, 6, 0.3), beats=1)
    circuit, taken = spec.create(), 0

    async def bench(ctx):
        nonlocal taken
        ctx.set(circuit.i.valid, 1)
        for _ in range(8 * spec.stores[0].depth):
            taken += ctx.get(circuit.i.ready)
            await ctx.tick()

    simulator = Simulator(circuit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert taken == spec.stores[0].depth
