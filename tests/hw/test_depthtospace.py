import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

S4 = Range.signed(4)

CASES = {
    "block of two": DepthToSpace(3, 5, Beat(S4, 8), 2),
    "one channel": DepthToSpace(2, 4, Beat(S4, 4), 2),
    "block of three": DepthToSpace(2, 4, Beat(S4, 18), 3),
    "block of one": DepthToSpace(3, 4, Beat(S4, 2), 1),
    "one row": DepthToSpace(1, 4, Beat(S4, 4), 2),
    "one column": DepthToSpace(4, 1, Beat(S4, 4), 2),
    "one position": DepthToSpace(1, 1, Beat(S4, 16), 4),
    "row in registers": DepthToSpace(2, 3, Beat(S4, 9), 3),
    "long row": DepthToSpace(2, 33, Beat(Range.unsigned(3), 4), 2),
}


def by_hand(spec, frame):
    b, channels = spec.block, spec.outputs[0].lanes
    out = []
    for r, c in np.ndindex(spec.height * b, spec.width * b):
        first = ((r % b) * b + c % b) * channels
        out.append(frame[(r // b) * spec.width + c // b][first : first + channels])
    return out


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    codes = spec.beat.range
    rng = np.random.default_rng(0)
    x = rng.integers(codes.lo, codes.hi + 1, (3, spec.beats_in, spec.beat.lanes))
    assert spec.compute(x).tolist() == [by_hand(spec, frame) for frame in x.tolist()]
    timing = check_operator(spec, x)
    on_time(spec, timing)
    first, *_, last = timing.out_cycles[0]
    assert last - first == 3 * spec.beats_out - 1, "one output beat a cycle, also between frames"


@pytest.mark.parametrize("block", [0, 3])
def test_a_block_that_does_not_divide_the_lanes_is_refused(block):
    with pytest.raises(ValueError, match=rf"must divide the lanes \(8\), not {block}"):
        DepthToSpace(2, 2, Beat(S4, 8), block)


def test_an_empty_frame_is_refused():
    with pytest.raises(ValueError, match="at least 1x1"):
        DepthToSpace(0, 2, Beat(S4, 4), 2)
