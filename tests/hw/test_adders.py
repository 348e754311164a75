import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw import adders
from sqwire.hw.ranges import Range


@pytest.mark.parametrize("value", [0, 1, -1, 2, 3, 7, -7, 11, 127, -128, 1000, -12345])
def test_signed_digits_add_up_and_no_two_are_neighbours(value):
    digits = adders.signed_digits(value)
    assert sum(sign << shift for shift, sign in digits) == value
    shifts = [shift for shift, _ in digits]
    assert all(b - a > 1 for a, b in zip(shifts, shifts[1:], strict=False))


def build(weight, ranges=None):
    weight = np.array(weight)
    return adders.build(weight, ranges or [Range(-8, 7)] * weight.shape[1])


def test_single_weights_of_powers_of_two_cost_no_adder():
    graph = build([[0, 4, 0], [0, 0, -1], [0, 0, 0]])
    assert graph.ops == ()
    assert graph.depth == 0
    assert graph.compute(np.array([[1, 2, 3]])).tolist() == [[8, -3, 0]]


def test_a_sum_that_two_rows_share_is_made_once():
    graph = build([[1, 1, 1, 0], [1, 1, 0, 1]])
    assert len(graph.ops) == 3


def test_a_shared_sum_is_found_shifted_and_negated():
    graph = build([[1, -1, 0], [-4, 4, 0]])
    assert len(graph.ops) == 1
    assert graph.compute(np.array([[3, 5, 0]])).tolist() == [[-2, 8]]


def test_balanced_tree_has_least_depth():
    assert build([[1] * 16]).depth == 4
    assert build([[1] * 17]).depth == 5


def test_value_ranges_hold_every_reachable_value_and_ends_are_reached():
    weight = np.array([[3, -5, 7]])
    graph = build(weight, [Range(0, 3), Range(-2, 1), Range(0, 1)])
    out = graph.outputs[0]
    reached = graph.ranges[out.value] * ((-1 if out.negate else 1) << out.shift)
    assert (reached.lo, reached.hi) == (-5, 26)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 6), st.integers(1, 12), st.integers(1, 9), st.floats(0, 1), st.integers(0, 999)
)
def test_adders_equal_the_matrix_product(rows, columns, bits, density, seed):
    rng = np.random.default_rng(seed)
    limit = 2 ** (bits - 1)
    weight = rng.integers(-limit, limit, (rows, columns)) * (rng.random((rows, columns)) < density)
    x = np.concatenate([rng.integers(-8, 8, (20, columns)), np.full((1, columns), -8)])
    graph = build(weight)
    assert np.array_equal(graph.compute(x), x @ weight.T)
    values = graph.compute(x)
    for row, out in enumerate(graph.outputs):
        if out.value is not None:
            reach = graph.ranges[out.value] * ((-1 if out.negate else 1) << out.shift)
            assert reach.lo <= values[:, row].min() and values[:, row].max() <= reach.hi


def test_the_same_weights_give_the_same_adders():
    weight = np.random.default_rng(3).integers(-7, 8, (8, 20))
    assert build(weight) == build(weight.copy())
