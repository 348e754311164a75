from fractions import Fraction

import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.hw.subpixel import SubpixelArgMax
from sqwire.sim.check import check_operator


def frames(beat, beats):
    """All equal, single peaks, ties, smooth hills, and random codes with many ties."""
    lo, hi, lanes = beat.range.lo, beat.range.hi, beat.lanes
    rng = np.random.default_rng(0)
    rows = [[lo] * lanes, [hi] * lanes]
    for peak in range(lanes):
        rows.append([hi if lane == peak else lo for lane in range(lanes)])
        rows.append([hi if lane in (peak, lanes - 1) else lo for lane in range(lanes)])
        hill = hi - (np.arange(lanes) - peak - rng.uniform(-0.5, 0.5)) ** 2 * (hi - lo) / lanes
        rows.append(np.clip(np.rint(hill), lo, hi).astype(int).tolist())
    rows += rng.integers(lo, min(hi, lo + 3) + 1, (20, lanes)).tolist()
    rows += rng.integers(lo, hi + 1, (40, lanes)).tolist()
    rows += rows[: -len(rows) % beats]
    return np.array(rows).reshape(-1, beats, lanes)


def by_hand(row, parts):
    k = row.index(max(row))
    if k in (0, len(row) - 1):
        return parts * k
    a, b, c = row[k - 1 : k + 2]
    if a == b == c:
        return parts * k
    vertex = Fraction(c - a, 2 * (2 * b - a - c))
    return parts * k + (parts * vertex + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize("parts", [2, 6, 16])
@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("codes", [Range.unsigned(3), Range.signed(6)], ids=["unsigned", "signed"])
def test_the_place_of_the_largest_lane(codes, lanes, parts, on_time):
    spec = SubpixelArgMax(Beat(codes, lanes), parts, beats=3)
    x = frames(spec.beat, 3)
    want = [[[by_hand(row, parts)] for row in frame] for frame in x.tolist()]
    assert spec.compute(x).tolist() == want
    on_time(spec, check_operator(spec, x))


def test_every_triple_of_small_codes():
    spec = SubpixelArgMax(Beat(Range.unsigned(3), 3), 64, beats=512)
    x = np.stack(np.meshgrid(*[np.arange(8)] * 3), -1).reshape(1, 512, 3)
    assert spec.compute(x)[0].tolist() == [[by_hand(row, 64)] for row in x[0].tolist()]
    check_operator(spec, x)


def test_scale_and_offset_change_nothing():
    x = np.random.default_rng(1).integers(-50, 50, (1, 100, 9))
    spec = SubpixelArgMax(Beat(Range(-5000, 5000), 9), beats=100)
    assert np.array_equal(spec.compute(x), spec.compute(37 * x - 11))


def test_wide_accumulators():
    spec = SubpixelArgMax(Beat(Range.signed(18), 6), beats=50)
    x = np.random.default_rng(2).integers(-(2**17), 2**17, (2, 50, 6))
    check_operator(spec, x)


@pytest.mark.parametrize("parts", [0, 3, 66])
def test_odd_parts_are_refused(parts):
    with pytest.raises(ValueError, match="parts must be an even number from 2 to 64"):
        SubpixelArgMax(Beat(Range.unsigned(4), 2), parts)
