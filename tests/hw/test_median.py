import numpy as np
import pytest

from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.median import Median
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


def by_hand(frame, far=1):
    """The definition, of (height, width, channels)."""
    height, width, channels = frame.shape
    result = np.empty_like(frame)
    for y, x, c in np.ndindex(height, width, channels):
        rows = [y + i if 0 <= y + i < height else y for i in (-far, 0, far)]
        columns = [x + j if 0 <= x + j < width else x for j in (-far, 0, far)]
        result[y, x, c] = sorted(frame[r, q, c] for r in rows for q in columns)[4]
    return result


def frames(codes, height, width, channels):
    """The smallest, the largest, both in turn, single spots at each edge, and random codes."""
    lo, hi = codes.lo, codes.hi
    rng = np.random.default_rng(0)
    size = (height, width, channels)
    made = [np.full(size, lo), np.full(size, hi)]
    made.append(np.where(np.indices(size).sum(0) % 2, lo, hi))
    made.append(np.where(np.indices(size)[:2].min(0) == 0, lo, hi))
    made += [rng.integers(lo, hi + 1, size) for _ in range(3)]
    made.append(rng.integers(0, 2, size) * (hi - lo) + lo)
    return np.array(made)


def windows(spec, x):
    """Positions as the sliding window in front gives them, ``group`` beats each."""
    return spec.window.compute(x.reshape(len(x), spec.beats_in, spec.beat.lanes))


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5), (4, 7)])
@pytest.mark.parametrize("codes", [Range.unsigned(3), Range.signed(6), Range(-3, 750)], ids=str)
def test_the_median_with_repeated_edges(codes, size, on_time):
    spec = Median(*size, Beat(codes, 1))
    x = frames(codes, *size, 1)
    taps = windows(spec, x)
    found = spec.compute(taps)
    assert np.array_equal(found.reshape(x.shape), [by_hand(frame) for frame in x])
    on_time(spec, check_operator(spec, taps))


@pytest.mark.parametrize("far", [2, 3, 9])
@pytest.mark.parametrize("size", [(1, 1), (5, 2), (4, 7)])
def test_neighbours_that_are_apart(size, far, on_time):
    spec = Median(*size, Beat(Range.unsigned(5), 1), dilation=far)
    x = frames(Range.unsigned(5), *size, 1)
    taps = windows(spec, x)
    assert np.array_equal(spec.compute(taps).reshape(x.shape), [by_hand(f, far) for f in x])
    on_time(spec, check_operator(spec, taps))


@pytest.mark.parametrize(("lanes", "group", "far"), [(3, 1, 1), (1, 3, 1), (2, 2, 2), (1, 5, 1)])
def test_several_channels_side_by_side_and_one_after_the_other(lanes, group, far, on_time):
    codes = Range.signed(4)
    spec = Median(3, 4, Beat(codes, lanes), group, far)
    x = frames(codes, 3, 4, lanes * group)
    taps = windows(spec, x)
    want = np.array([by_hand(frame, far) for frame in x])
    assert np.array_equal(spec.compute(taps).reshape(x.shape), want)
    on_time(spec, check_operator(spec, taps))


def test_all_orders_of_zeros_and_ones():
    # A network of comparisons that sorts zeros and ones sorts everything (Knuth, 5.3.4).
    spec = Median(3, 3 * 512, Beat(Range.unsigned(1), 1))
    bits = np.arange(512)[:, None] >> np.arange(9) & 1
    taps = windows(spec, bits.reshape(512, 3, 3).transpose(1, 0, 2).reshape(1, 3, -1, 1))
    middle = spec.compute(taps).reshape(3, 512, 3)[1, :, 1]
    assert np.array_equal(middle, bits.sum(1) > 4)
    check_operator(spec, taps)


@pytest.mark.parametrize(("group", "far"), [(1, 1), (2, 1), (2, 2)])
def test_behind_its_window_under_long_stalls(group, far):
    spec = Median(5, 6, Beat(Range.unsigned(5), 2), group, far)
    network = Network(
        (Port(spec.window.inputs[0], spec.beats_in),),
        (Stage("window", spec.window, (Source(None),)), Stage("median", spec, (Source("window"),))),
        (Source("median"),),
    )
    x = frames(Range.unsigned(5), 5, 6, 2 * group).reshape(-1, spec.beats_in, 2)
    check_operator(network, x)


@pytest.mark.parametrize("wrong", [{"height": 0}, {"width": 0}, {"group": 0}, {"dilation": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
        Median(**{"height": 2, "width": 2, "beat": Beat(Range.unsigned(1), 1), **wrong})
