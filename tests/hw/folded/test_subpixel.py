import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.folded.subpixel import SubpixelArgMax
from sqwire.hw.ranges import Range
from sqwire.hw.subpixel import SubpixelArgMax as Wide
from sqwire.sim.check import check_operator


def positions(beat):
    """All equal, peaks, ties, hills, and random codes with many ties; an odd number of them."""
    lo, hi, channels = beat.range.lo, beat.range.hi, beat.lanes
    rng = np.random.default_rng(0)
    rows = [[lo] * channels, [hi] * channels]
    for peak in range(channels):
        rows.append([hi if channel == peak else lo for channel in range(channels)])
        rows.append([hi if channel in (peak, channels - 1) else lo for channel in range(channels)])
        hill = hi - (np.arange(channels) - peak - rng.uniform(-0.5, 0.5)) ** 2
        rows.append(np.clip(np.rint(hill), lo, hi).astype(int).tolist())
    rows += rng.integers(lo, min(hi, lo + 3) + 1, (21, channels)).tolist()
    rows += rng.integers(lo, hi + 1, (30, channels)).tolist()
    return np.array(rows)


@pytest.mark.parametrize("parts", [2, 16])
@pytest.mark.parametrize(("channels", "lanes"), [(2, 1), (5, 1), (6, 2), (8, 4), (12, 4), (16, 8)])
@pytest.mark.parametrize("codes", [Range.unsigned(3), Range.signed(6)], ids=["unsigned", "signed"])
def test_component_computes_what_all_channels_at_once_do(codes, channels, lanes, parts, on_time):
    x = positions(Beat(codes, channels))
    spec = SubpixelArgMax(Wide(Beat(codes, channels), parts, len(x)), lanes)
    frames = np.stack([x, x[::-1]])
    beats = frames.reshape(2, spec.beats_in, lanes)
    assert np.array_equal(spec.compute(beats), spec.whole.compute(frames))
    timing = check_operator(spec, beats)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(2 * spec.beats_in)), "one input beat a cycle"


@pytest.mark.parametrize(
    ("channels", "lanes", "said"),
    [
        (6, 3, "lanes must be 1, 2, 4 or 8, not 3"),
        (6, 4, r"channels must be twice the lanes \(4\) or another multiple, not 6"),
        (4, 4, r"channels must be twice the lanes \(4\) or another multiple, not 4"),
    ],
)
def test_lanes_that_do_not_divide_are_refused(channels, lanes, said):
    with pytest.raises(ValueError, match=said):
        SubpixelArgMax(Wide(Beat(Range.unsigned(4), channels)), lanes)
