import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.crop import Crop
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(4), 2)

CASES = {
    "all edges": Crop(5, 6, BEAT, (1, 2, 1, 1)),
    "top": Crop(3, 4, BEAT, (2, 0, 0, 0)),
    "left": Crop(3, 4, BEAT, (0, 3, 0, 0)),
    "bottom": Crop(3, 4, BEAT, (0, 0, 2, 0)),
    "right": Crop(3, 4, BEAT, (0, 0, 0, 1)),
    "nothing": Crop(3, 4, BEAT, (0, 0, 0, 0)),
    "one position is left": Crop(3, 5, BEAT, (1, 2, 1, 2)),
    "one row": Crop(1, 5, BEAT, (0, 1, 0, 1)),
    "one column": Crop(5, 1, BEAT, (1, 0, 1, 0)),
    "one position": Crop(1, 1, BEAT, (0, 0, 0, 0)),
    "every other row": Crop(5, 2, BEAT, (1, 0, 0, 0), (2, 1)),
    "every third column": Crop(2, 8, BEAT, (0, 1, 0, 0), (1, 3)),
    "rows and columns": Crop(6, 7, BEAT, (1, 0, 1, 2), (2, 2)),
    "a stride beyond the frame": Crop(2, 2, BEAT, (0, 1, 0, 0), (5, 3)),
}


def frames(spec):
    rng = np.random.default_rng(0)
    return rng.integers(-8, 8, (4, spec.beats_in, 2))


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    x = frames(spec)
    top, left, bottom, right = spec.edges
    rows = range(top, spec.height - bottom, spec.stride[0])
    columns = range(left, spec.width - right, spec.stride[1])
    want = [[frame[r * spec.width + c] for r in rows for c in columns] for frame in x.tolist()]
    assert spec.compute(x).tolist() == want
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(4 * spec.beats_in)), "one input beat a cycle"


@pytest.mark.parametrize("edges", [(2, 0, 1, 0), (0, 5, 0, 0)])
def test_edges_that_leave_nothing_are_refused(edges):
    with pytest.raises(ValueError, match="must leave something of the frame"):
        Crop(3, 4, BEAT, edges)


def test_a_stride_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"stride must be at least 1, not \(0, 1\)"):
        Crop(3, 4, BEAT, (0, 0, 0, 0), (0, 1))


def test_negative_edges_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        Crop(3, 4, BEAT, (0, -1, 0, 0))


def test_an_empty_frame_is_refused():
    with pytest.raises(ValueError, match="at least 1x1"):
        Crop(0, 4, BEAT, (0, 0, 0, 0))
