import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(4), 2)

CASES = {
    "2x2": Resize(3, 5, BEAT, (2, 2)),
    "rows": Resize(3, 5, BEAT, (3, 1)),
    "columns": Resize(3, 5, BEAT, (1, 3)),
    "unequal": Resize(2, 6, BEAT, (3, 2)),
    "nothing": Resize(3, 4, BEAT, (1, 1)),
    "one row": Resize(1, 4, BEAT, (2, 2)),
    "one column": Resize(4, 1, BEAT, (2, 2)),
    "one column, rows only": Resize(4, 1, BEAT, (2, 1)),
    "one position": Resize(1, 1, BEAT, (3, 4)),
    "row in registers": Resize(2, 3, BEAT, (2, 1)),
    "row in a memory": Resize(2, 4, BEAT, (2, 1)),
    "long row": Resize(2, 33, Beat(Range.unsigned(3), 1), (2, 2)),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    codes = spec.beat.range
    rng = np.random.default_rng(0)
    x = rng.integers(codes.lo, codes.hi + 1, (3, spec.beats_in, spec.beat.lanes))
    (fh, fw), w = spec.factor, spec.width
    places = [(r // fh) * w + c // fw for r in range(spec.height * fh) for c in range(w * fw)]
    assert spec.compute(x).tolist() == [[frame[at] for at in places] for frame in x.tolist()]
    timing = check_operator(spec, x)
    on_time(spec, timing)
    first, *_, last = timing.out_cycles[0]
    assert last - first == 3 * spec.beats_out - 1, "one output beat a cycle, also between frames"


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"width": 0}, {"factor": (0, 1)}, {"factor": (2, -1)}]
)
def test_sizes_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="at least 1"):
        Resize(**{"height": 2, "width": 2, "beat": BEAT, "factor": (2, 2)} | change)
