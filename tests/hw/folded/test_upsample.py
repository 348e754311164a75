import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.folded.upsample import Upsample
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.sim.check import check_operator

U3, S4 = Beat(Range.unsigned(3), 1), Beat(Range.signed(4), 2)
CASES = {
    "2x2": Upsample(2, 3, U3, 4, (2, 2)),
    "two lanes": Upsample(2, 2, S4, 3, (2, 2)),
    "rows only": Upsample(2, 3, U3, 2, (3, 1)),
    "columns only": Upsample(2, 2, U3, 3, (1, 3)),
    "one row": Upsample(1, 4, U3, 2, (2, 2)),
    "one column": Upsample(3, 1, U3, 2, (2, 2)),
    "one position": Upsample(1, 1, U3, 5, (2, 3)),
    "one beat a position": Upsample(2, 3, S4, 1, (2, 2)),
    "nothing repeated": Upsample(2, 2, U3, 2, (1, 1)),
    "a row in a block RAM": Upsample(1, 4, U3, 256, (2, 1)),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_resize(spec, on_time):
    codes = spec.beat.range
    shape = (3, spec.beats_in, spec.beat.lanes)
    x = np.random.default_rng(0).integers(codes.lo, codes.hi + 1, shape)
    x[0], x[1] = codes.lo, codes.hi
    wide = Beat(codes, spec.beats_position * spec.beat.lanes)
    whole = Resize(spec.height, spec.width, wide, spec.factor)
    want = whole.compute(x.reshape(3, -1, wide.lanes))
    assert np.array_equal(spec.compute(x).reshape(want.shape), want)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    first, *_, last = timing.out_cycles[0]
    assert last - first == 3 * spec.beats_out - 1, "one output beat a cycle"


def test_a_row_of_many_channels_lies_in_a_block_ram():
    assert CASES["a row in a block RAM"].store.kind == "block"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height must be at least 1"),
        ({"beats_position": 0}, "beats_position must be at least 1"),
        ({"factor": (2, 0)}, "factor must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    fields = {"height": 2, "width": 2, "beat": U3, "beats_position": 2, "factor": (2, 2)}
    with pytest.raises(ValueError, match=message):
        Upsample(**fields | change)
