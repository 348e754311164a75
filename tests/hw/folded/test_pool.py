import numpy as np
import pytest

from sqwire.hw.folded.pool import Pool
from sqwire.hw.maxpool import MaxPool
from sqwire.hw.ranges import Range
from sqwire.hw.window import Window
from sqwire.sim.check import check_operator


def frames(spec, count=2, seed=0):
    shape = (count, spec.beats_in, spec.lanes)
    x = np.random.default_rng(seed).integers(spec.range.lo, spec.range.hi + 1, shape)
    x[0] = spec.range.lo
    return x


@pytest.mark.parametrize(
    ("size", "kernel", "layer"),
    [
        ((4, 4), (2, 2), {"stride": (2, 2)}),
        ((5, 6), (3, 3), {"stride": (2, 2), "padding": (1, 1, 1, 1)}),
        ((4, 3), (3, 3), {"padding": (1, 1, 1, 1)}),
        ((3, 5), (1, 2), {"stride": (1, 2)}),
        ((1, 1), (1, 1), {}),
        ((5, 5), (2, 2), {"dilation": (2, 2), "padding": (1, 1, 1, 1)}),
    ],
)
@pytest.mark.parametrize(("channels", "lanes"), [(1, 1), (4, 1), (4, 2)])
@pytest.mark.parametrize("codes", [Range.unsigned(2), Range(-6, -1)], ids=str)
def test_pool_equals_window_and_maximum(size, kernel, layer, channels, lanes, codes):
    spec = Pool(*size, channels, codes, kernel, lanes=lanes, **layer)
    x = frames(spec)
    window = Window(*size, channels, codes, kernel, pad_code=codes.lo, **layer)
    whole = MaxPool(channels, window.taps, codes, window.beats_out)
    want = whole.compute(window.compute(x.reshape(len(x), -1, channels)))
    assert np.array_equal(spec.compute(x).reshape(want.shape), want)
    timing = check_operator(spec, x)
    arrivals = np.zeros(len(x) * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()


@pytest.mark.parametrize("pace", [3, 20])
def test_pool_gives_positions_no_faster_than_its_pace(pace):
    spec = Pool(4, 4, 2, Range.unsigned(2), (2, 2), (2, 2), pace_cycles=pace)
    timing = check_operator(spec, frames(spec))
    arrivals = np.zeros(2 * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()
    assert (np.diff(timing.out_cycles[0][::2]) >= pace).all()


def test_pool_by_two_keeps_up_with_its_input():
    spec = Pool(8, 8, 16, Range.unsigned(4), (2, 2), (2, 2))
    assert spec.interval_cycles == spec.beats_in


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 4}, "lanes_in must divide the input channels"),
        ({"lanes": 3}, "power of two"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"padding": (2, 0, 0, 0)}, "padding of the height"),
        ({"slots": 4}, "slots must be at least 6, and a power of two"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    layer = {"height": 4, "width": 4, "channels": 6, "range": Range(0, 3), "kernel": (2, 2)}
    with pytest.raises(ValueError, match=message):
        Pool(**layer | change)
