import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.ranges import Range
from sqwire.hw.sumpool import SumPool
from sqwire.sim.check import check_operator

U4 = Range.unsigned(4)


def sums(spec, x):
    """The definition, one position at a time."""
    out = np.zeros((len(x), spec.out_height, spec.out_width, spec.channels), int)
    for f, r, c in np.ndindex(len(x), spec.height, spec.width):
        row, column = r // spec.kernel[0], c // spec.kernel[1]
        if row < spec.out_height and column < spec.out_width:
            out[f, row, column] += x[f, r * spec.width + c]
    return out.reshape(len(x), -1, spec.channels)


def frames(spec, count=3, seed=0):
    lo, hi = spec.range.lo, spec.range.hi
    shape = (count, spec.beats_in, spec.channels)
    x = np.random.default_rng(seed).integers(lo, hi + 1, shape)
    x[0], x[1] = lo, hi
    return x


CASES = {
    "2x2": SumPool(4, 6, 2, U4, (2, 2)),
    "global": SumPool(3, 4, 2, U4, (3, 4)),
    "global, signed": SumPool(4, 4, 1, Range.signed(4), (4, 4)),
    "odd sizes drop the last row and column": SumPool(5, 7, 1, U4, (2, 2)),
    "two rows and columns dropped": SumPool(5, 5, 2, Range(-3, 5), (3, 3)),
    "one window a row and columns behind it": SumPool(4, 3, 1, U4, (2, 2)),
    "unequal axes": SumPool(6, 6, 1, U4, (3, 2)),
    "rows only": SumPool(4, 3, 1, U4, (2, 1)),
    "columns only": SumPool(2, 6, 1, U4, (1, 3)),
    "1x1": SumPool(2, 3, 2, U4, (1, 1)),
    "one position": SumPool(1, 1, 3, U4, (1, 1)),
    "four waiting sums, in a memory": SumPool(4, 10, 2, U4, (2, 2)),
    "many waiting sums, columns dropped": SumPool(4, 23, 1, Range.signed(3), (2, 2)),
    "negative only": SumPool(2, 4, 1, Range(-8, -1), (2, 2)),
    "positive only": SumPool(2, 4, 1, Range(3, 7), (2, 2)),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    x = frames(spec)
    assert np.array_equal(spec.compute(x), sums(spec, x))
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(3 * spec.beats_in)), "one input beat a cycle"


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_output_range_is_reached_at_both_ends(spec):
    y = spec.compute(frames(spec))
    assert (y.min(), y.max()) == (spec.outputs[0].range.lo, spec.outputs[0].range.hi)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_shapes_equal_the_definition(data):
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 8))
    kernel = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    lo = data.draw(st.integers(-9, 9))
    spec = SumPool(height, width, 1, Range(lo, lo + data.draw(st.integers(0, 9))), kernel)
    x = frames(spec, 2)
    assert np.array_equal(spec.compute(x), sums(spec, x))
    check_operator(spec, x)


@pytest.mark.parametrize("kernel", [(3, 1), (1, 4), (0, 1), (1, 0)])
def test_kernel_outside_the_frame_is_refused(kernel):
    with pytest.raises(ValueError, match="kernel must be from"):
        SumPool(2, 3, 1, U4, kernel)


@pytest.mark.parametrize("change", [{"height": 0}, {"width": 0}, {"channels": 0}])
def test_sizes_below_one_are_refused(change):
    fields = {"height": 2, "width": 2, "channels": 1, "range": U4, "kernel": (1, 1)} | change
    with pytest.raises(ValueError, match="must be at least 1"):
        SumPool(**fields)
