import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.beat import Beat
from sqwire.hw.pad import Pad
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(4), 2)

CASES = {
    "all sides": Pad(3, 4, BEAT, (1, 2, 2, 1)),
    "top": Pad(3, 4, BEAT, (2, 0, 0, 0), code=5),
    "left": Pad(3, 4, BEAT, (0, 3, 0, 0)),
    "bottom": Pad(3, 4, BEAT, (0, 0, 2, 0), code=-8),
    "right": Pad(3, 4, BEAT, (0, 0, 0, 1)),
    "nothing": Pad(3, 4, BEAT, code=99),
    "a code outside the range": Pad(2, 2, BEAT, (1, 1, 1, 1), code=-100),
    "one position, much around it": Pad(1, 1, BEAT, (3, 3, 3, 3)),
    "one row": Pad(1, 5, BEAT, (1, 1, 1, 1)),
    "one column": Pad(5, 1, BEAT, (0, 1, 0, 1)),
    "between rows and columns": Pad(3, 4, BEAT, stride=(2, 3)),
    "between rows": Pad(3, 4, BEAT, stride=(3, 1)),
    "between and around": Pad(3, 3, BEAT, (1, 1, 2, 2), (2, 2), 3),
    "one position, between nothing": Pad(1, 1, BEAT, stride=(4, 4)),
    "three beats a position": Pad(2, 3, BEAT, (1, 1, 0, 2), (2, 2), 3, group=3),
    "one position of two beats": Pad(1, 1, BEAT, (1, 0, 0, 1), group=2),
    "beats before all others": Pad(2, 2, BEAT, (0, 1, 0, 0), group=2),
    "unsigned, signed by the code": Pad(2, 3, Beat(Range.unsigned(3), 1), (1, 0, 0, 1), code=-1),
}


def by_hand(spec, frame):
    (top, left, _, _), group = spec.padding, spec.group
    out = [[spec.code] * spec.beat.lanes for _ in range(spec.beats_out)]
    for r, c, beat in np.ndindex(spec.height, spec.width, group):
        row, column = top + r * spec.stride[0], left + c * spec.stride[1]
        shown = frame[(r * spec.width + c) * group + beat]
        out[(row * spec.out_width + column) * group + beat] = shown
    return out


def frames(spec):
    codes = spec.beat.range
    rng = np.random.default_rng(0)
    return rng.integers(codes.lo, codes.hi + 1, (3, spec.beats_in, spec.beat.lanes))


def check(spec):
    x = frames(spec)
    assert spec.compute(x).tolist() == [by_hand(spec, frame) for frame in x.tolist()]
    return check_operator(spec, x)


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    timing = check(spec)
    on_time(spec, timing)
    first, *_, last = timing.out_cycles[0]
    assert last - first == 3 * spec.beats_out - 1, "one output beat a cycle, also between frames"


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_frames_equal_the_definition(data):
    height, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    padding = tuple(data.draw(st.integers(0, 3)) for _ in range(4))
    stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    group = data.draw(st.integers(1, 3))
    check(Pad(height, width, Beat(Range.unsigned(2), 1), padding, stride, code=1, group=group))


def test_the_range_holds_the_code_only_where_there_is_one():
    assert CASES["nothing"].outputs[0].range == BEAT.range
    assert CASES["a code outside the range"].outputs[0].range == Range(-100, 7)


@pytest.mark.parametrize(
    "change",
    [{"height": 0}, {"width": 0}, {"padding": (0, 0, -1, 0)}, {"stride": (0, 1)}, {"group": 0}],
)
def test_sizes_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="must"):
        Pad(**{"height": 2, "width": 2, "beat": BEAT} | change)
