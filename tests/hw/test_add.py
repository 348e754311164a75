import numpy as np
import pytest

from sqwire.hw.add import Add
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

CASES = {
    "unsigned": (Range.unsigned(4), Range.unsigned(4)),
    "signed": (Range.signed(4), Range.signed(4)),
    "signed and unsigned": (Range.unsigned(4), Range.signed(3)),
    "narrow and wide": (Range(0, 1), Range.signed(8)),
    "negative only": (Range(-9, -2), Range(-3, -1)),
    "one value": (Range(5, 5), Range.unsigned(2)),
}


def frames(codes, lanes, beats, seed):
    """Frame 0 the lowest codes, frame 1 the highest, 2 and 3 random."""
    x = np.random.default_rng(seed).integers(codes.lo, codes.hi + 1, (4, beats, lanes))
    x[0], x[1] = codes.lo, codes.hi
    return x


@pytest.mark.parametrize(("first", "second"), CASES.values(), ids=CASES.keys())
def test_sums_are_exact_and_the_range_is_reached(first, second, on_time):
    spec = Add(Beat(first, 3), Beat(second, 3), beats=5)
    x0, x1 = frames(first, 3, 5, 0), frames(second, 3, 5, 1)
    y = spec.compute(x0, x1)
    want = [
        [[a + b for a, b in zip(p, q, strict=True)] for p, q in zip(f, g, strict=True)]
        for f, g in zip(x0.tolist(), x1.tolist(), strict=True)
    ]
    assert y.tolist() == want
    assert (y.min(), y.max()) == (spec.outputs[0].range.lo, spec.outputs[0].range.hi)
    timing = check_operator(spec, x0, x1)
    on_time(spec, timing)
    assert timing.in_cycles == (tuple(range(20)),) * 2, "one pair a cycle"


def test_inputs_with_unequal_lanes_are_refused():
    with pytest.raises(ValueError, match=r"i1 must have as many lanes as i0 \(2\), not 3"):
        Add(Beat(Range.unsigned(4), 2), Beat(Range.unsigned(4), 3))


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Add(Beat(Range.unsigned(4), 2), Beat(Range.unsigned(4), 2), 0)
