import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.folded.reduce import Reduce
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.ranges import Range
from sqwire.hw.sumpool import SumPool
from sqwire.hw.window import Window
from sqwire.sim.check import check_operator

U4 = Range.unsigned(4)


def frames(spec, count=3, seed=0):
    shape = (count, spec.beats_in, spec.lanes)
    x = np.random.default_rng(seed).integers(spec.range.lo, spec.range.hi + 1, shape)
    x[0], x[1] = spec.range.lo, spec.range.hi
    return x


def whole(spec, x):
    """What the operator that takes all channels at once makes of it."""
    x = x.reshape(len(x), -1, spec.channels)
    size = spec.height, spec.width, spec.channels, spec.range
    if not spec.largest:
        return SumPool(*size, spec.kernel).compute(x)
    window = Window(*size, spec.kernel, stride=spec.kernel)
    return MaxPool(spec.channels, window.taps, spec.range, 1).compute(window.compute(x))


SIZES = {
    "2x2": (4, 6, 4, U4, (2, 2), 1),
    "2x2, two lanes": (4, 6, 8, Range.signed(3), (2, 2), 2),
    "two beats a position": (4, 4, 4, U4, (2, 2), 2),
    "global": (3, 4, 3, U4, (3, 4), 1),
    "odd sizes drop the last row and column": (5, 7, 2, U4, (2, 2), 1),
    "rows only": (4, 3, 2, Range(-3, 5), (2, 1), 1),
    "columns only": (2, 6, 4, U4, (1, 3), 1),
    "1x1": (2, 2, 2, U4, (1, 1), 1),
    "one position": (1, 1, 4, U4, (1, 1), 2),
    "negative only": (2, 4, 2, Range(-8, -1), (2, 2), 1),
    "positive only": (2, 4, 2, Range(3, 7), (2, 2), 1),
    "results in a block RAM": (2, 2, 640, U4, (2, 2), 1),
}


@pytest.mark.parametrize("largest", [False, True], ids=["sum", "largest"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_component_equals_compute_equals_the_operator_on_all_channels(size, largest, on_time):
    spec = Reduce(*size, largest=largest)
    x = frames(spec)
    assert np.array_equal(spec.compute(x).reshape(len(x), -1, spec.channels), whole(spec, x))
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(3 * spec.beats_in)), "one input beat a cycle"


def test_results_of_a_wide_row_lie_in_a_block_ram_behind_a_register():
    spec = Reduce(2, 2, 640, U4, (2, 2))
    assert (spec.store.kind, spec.latency_cycles) == ("block", 3)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_shapes_equal_the_operator_on_all_channels(data):
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    kernel = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    lanes, low = data.draw(st.sampled_from((1, 2))), data.draw(st.integers(-9, 9))
    codes = Range(low, low + data.draw(st.integers(0, 9)))
    channels = lanes * data.draw(st.integers(2, 4))
    spec = Reduce(height, width, channels, codes, kernel, lanes, data.draw(st.booleans()))
    x = frames(spec, 2)
    assert np.array_equal(spec.compute(x).reshape(2, -1, channels), whole(spec, x))
    check_operator(spec, x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height must be at least 1"),
        ({"lanes": 0}, "lanes must be at least 1"),
        ({"lanes": 4}, "channels must be lanes .4. times two"),
        ({"channels": 5, "lanes": 2}, "channels must be lanes"),
        ({"kernel": (3, 1)}, "kernel must be from"),
        ({"kernel": (1, 0)}, "kernel must be from"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    fields = {"height": 2, "width": 2, "channels": 4, "range": U4, "kernel": (2, 2)}
    with pytest.raises(ValueError, match=message):
        Reduce(**fields | change)
