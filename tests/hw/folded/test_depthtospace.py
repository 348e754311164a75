import numpy as np
import pytest

from sqwire.compiler import ops
from sqwire.hw.folded.depthtospace import DepthToSpace
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U3 = Range.unsigned(3)
CASES = {
    "2x2": DepthToSpace(2, 3, 8, U3, 2),
    "2x2, depth first": DepthToSpace(2, 3, 8, U3, 2, depth_first=True),
    "two lanes": DepthToSpace(2, 2, 16, Range.signed(4), 2, lanes=2),
    "one channel left": DepthToSpace(3, 2, 4, U3, 2),
    "3x3": DepthToSpace(1, 2, 18, U3, 3, depth_first=True),
    "one position": DepthToSpace(1, 1, 4, U3, 2),
    "one column": DepthToSpace(3, 1, 8, U3, 2),
    "block of one": DepthToSpace(2, 2, 3, U3, 1),
    "rows in a block RAM": DepthToSpace(1, 4, 128, Range.unsigned(4), 2),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_the_operator_on_all_channels(spec, on_time):
    low, high = spec.range.lo, spec.range.hi
    x = np.random.default_rng(0).integers(low, high + 1, (3, spec.beats_in, spec.lanes))
    x[0], x[1] = low, high
    x[2, :, 0] = np.arange(spec.beats_in) % (high + 1)
    tensor = ops.Tensor(spec.height, spec.width, (spec.range,) * spec.channels)
    want = x.reshape(3, -1, spec.channels)
    for _, whole in ops.DepthToSpace(spec.block, "CRD" if spec.depth_first else "DCR").lower(
        tensor
    ):
        want = whole.compute(want)
    assert np.array_equal(spec.compute(x).reshape(want.shape), want)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(3 * spec.beats_in)), "one input beat a cycle"
    first, *_, last = timing.out_cycles[0]
    assert last - first == 3 * spec.beats_out - 1, "one output beat a cycle"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"block": 0}, "block must be at least 1"),
        ({"channels": 6}, "channels must be a multiple of 4"),
        ({"lanes": 2, "channels": 4}, "channels must be a multiple of 8"),
        ({"lanes": 2, "depth_first": True}, "lanes must be 1 with depth_first"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    fields = {"height": 2, "width": 2, "channels": 8, "range": U3, "block": 2}
    with pytest.raises(ValueError, match=message):
        DepthToSpace(**fields | change)
