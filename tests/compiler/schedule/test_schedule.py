import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.compiler.schedule import digits, schedule
from sqwire.hw.folded.check import check


def weights(outputs, inputs, kernel, density, seed=0, most=7):
    rng = np.random.default_rng(seed)
    shape = (outputs, kernel, kernel, inputs)
    w = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < density, w, 0)


@pytest.mark.parametrize(
    ("outputs", "inputs", "kernel", "density", "lanes", "options"),
    [
        (1, 1, 1, 1, 1, {"ring": 1}),
        (4, 4, 3, 0, 4, {"ring": 4}),
        (3, 1, 3, 0.5, 8, {"ring": 4}),
        (3, 5, 1, 0.5, 8, {"ring": 8}),
        (16, 16, 3, 0.01, 16, {"ring": 8, "parts": 2}),
        (10, 64, 1, 0.5, 16, {"ring": 4}),
        (32, 32, 3, 0.2, 8, {"ring": 4, "lanes_in": 4, "lanes_out": 4}),
        (32, 32, 3, 0.2, 8, {"ring": 4, "lanes_in": 2, "lanes_out": 2, "parts": 2}),
        (256, 16, 3, 0.02, 4, {"ring": 4}),
    ],
)
def test_every_program_passes_the_checker(outputs, inputs, kernel, density, lanes, options):
    w = weights(outputs, inputs, kernel, density)
    check(schedule(w, lanes, **options), w)
    check(schedule(w, lanes, in_digits=True, **options), w, products=False)


def test_dense_layer_stores_weights_only():
    w = weights(64, 64, 3, 1)
    program = schedule(w, 16, 8)
    check(program, w)
    assert program.dense
    assert program.utilisation == 1
    assert program.fetch_bits() == 0
    assert program.execute_bits(4) == 16 * 4


def test_depthwise_layer_fills_all_lanes():
    w = np.zeros((64, 3, 3, 64), np.int64)
    w[np.arange(64), :, :, np.arange(64)] = 3
    program = schedule(w, 8, 8)
    check(program, w)
    assert program.utilisation == 1


@pytest.mark.parametrize(
    ("channels", "density", "lanes", "options"),
    [
        (64, 0.5, 64, {"ring": 4, "parts": 2}),
        (64, 0.2, 64, {"ring": 4, "parts": 2}),
        (64, 0.1, 8, {"ring": 8}),
        (64, 0.05, 16, {"ring": 4}),
        (256, 0.01, 16, {"ring": 8}),
        (256, 0.01, 64, {"ring": 4}),
    ],
)
def test_lanes_are_at_least_95_percent_busy(channels, density, lanes, options):
    w = weights(channels, channels, 3, density)
    assert np.count_nonzero(w) >= 60 * lanes
    program = schedule(w, lanes, **options)
    check(program, w)
    assert program.utilisation >= 0.95


def test_program_of_a_very_sparse_layer_takes_at_most_16_bits_a_weight():
    w = weights(256, 256, 3, 0.01)
    program = schedule(w, 16, 8)
    bits = (program.fetch_bits() + program.execute_bits(4)) * program.cycles
    assert bits <= 16 * np.count_nonzero(w)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("density", [0, 0.01, 0.3, 1])
@pytest.mark.parametrize(("outputs", "inputs"), [(16, 16), (5, 70), (70, 5)])
def test_every_split_program_passes_the_checker(lanes, density, outputs, inputs):
    w = weights(outputs, inputs, 3, density)
    for in_digits in (False, True):
        program = schedule(w, lanes, lanes, parts=lanes, by_input=True, in_digits=in_digits)
        check(program, w, products=not in_digits)


def test_split_program_of_a_very_sparse_layer_takes_less_than_15_bits_a_weight():
    w = weights(256, 256, 3, 0.01)
    program = schedule(w, 4, 4, parts=4, by_input=True)
    bits = (program.fetch_bits() + program.execute_bits(4)) * program.cycles
    assert bits < 15 * np.count_nonzero(w)
    assert program.utilisation >= 0.98


def test_split_program_needs_as_many_banks_as_lanes():
    with pytest.raises(ValueError, match="ring and parts like lanes"):
        schedule(weights(4, 4, 1, 1), 4, 2, by_input=True)


def test_uneven_rows_and_columns_are_balanced():
    rng = np.random.default_rng(1)
    density = np.outer(rng.exponential(1, 128), rng.exponential(1, 128))
    density = np.minimum(density * 0.05, 1)[:, None, None, :]
    w = np.where(rng.random((128, 3, 3, 128)) < density, 1, 0)
    program = schedule(w, 8, 4)
    check(program, w)
    assert program.utilisation >= 0.95


def test_same_weights_give_the_same_program():
    w = weights(32, 32, 3, 0.1)
    one, two = schedule(w, 8, 8), schedule(w, 8, 8)
    for name in ("rotation", "tap", "local", "row", "value"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_digits_are_the_fewest_that_sum_to_the_value():
    values = np.arange(-40, 41)
    index, digit = digits(values)
    assert np.array_equal(np.bincount(index, digit, len(values)).astype(int), values)
    assert all(int(abs(d)).bit_count() == 1 for d in digit)
    count = np.bincount(index, minlength=len(values))
    assert count[values == 7][0] == 2
    assert count[values == 11][0] == 3
    # No two neighbouring places are both used, which makes it the shortest form.
    for k in range(len(values)):
        places = sorted(int(abs(d)).bit_length() for d in digit[index == k])
        assert all(b - a >= 2 for a, b in zip(places, places[1:], strict=False))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    outputs=st.integers(1, 20),
    inputs=st.integers(1, 20),
    density=st.floats(0, 1),
    lanes=st.sampled_from([1, 2, 4, 8, 16]),
    ring=st.sampled_from([1, 2, 4, 8, 16]),
    seed=st.integers(0, 99),
)
def test_random_layers(outputs, inputs, density, lanes, ring, seed):
    w = weights(outputs, inputs, 3, density, seed)
    check(schedule(w, lanes, min(ring, lanes)), w)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 3}, r"power of two that divides lanes \(3\), not 8"),
        ({"lanes": 4}, r"power of two that divides lanes \(4\), not 8"),
        ({"lanes": 9, "ring": 3}, r"power of two that divides lanes \(9\), not 3"),
        ({"parts": 16}, r"parts \* lanes_out must divide lanes"),
        ({"lanes_out": 3, "lanes": 8}, "must divide"),
        ({"lanes_in": 16}, "lanes_in must divide"),
    ],
)
def test_counts_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        schedule(**{"weight": weights(8, 8, 1, 1), "lanes": 8, "ring": 8} | change)
