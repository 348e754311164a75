import numpy as np
import pytest

from sqwire.hw.argmax import ArgMax as ArgMaxAtOnce
from sqwire.hw.beat import Beat
from sqwire.hw.folded.argmax import ArgMax
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 10])
@pytest.mark.parametrize("codes", [Range.unsigned(3), Range(-6, -1)], ids=str)
def test_component_equals_compute_equals_the_operator_on_all_channels(
    codes, channels, last, on_time
):
    spec = ArgMax(codes, channels, last, positions=4)
    x = np.random.default_rng(0).integers(codes.lo, codes.hi + 1, (4, 4 * channels, 1))
    x[0], x[1] = codes.lo, codes.hi
    whole = ArgMaxAtOnce(Beat(codes, channels), last, 4)
    assert np.array_equal(spec.compute(x), whole.compute(x.reshape(4, 4, channels)))
    assert spec.outputs == whole.outputs
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(4 * spec.beats_in)), "one input beat a cycle"


@pytest.mark.parametrize("change", [{"channels": 0}, {"positions": 0}])
def test_sizes_below_one_are_refused(change):
    with pytest.raises(ValueError, match="must be at least 1"):
        ArgMax(**{"range": Range.unsigned(4), "channels": 2} | change)
