import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.flatten import Flatten
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


@pytest.mark.parametrize("codes", [Range.unsigned(4), Range.signed(3)], ids=str)
@pytest.mark.parametrize("positions", [1, 2, 9])
def test_frame_becomes_one_beat_in_raster_order(positions, codes, on_time):
    spec = Flatten(Beat(codes, 3), positions)
    x = np.random.default_rng(0).integers(codes.lo, codes.hi + 1, (4, positions, 3))
    x[0], x[1] = codes.lo, codes.hi
    assert spec.compute(x).tolist() == [[[v for p in frame for v in p]] for frame in x.tolist()]
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.last_out_cycle == 4 * positions, "one position a cycle, then one cycle"


def test_no_positions_are_refused():
    with pytest.raises(ValueError, match="positions must be at least 1"):
        Flatten(Beat(Range.unsigned(4), 3), 0)
