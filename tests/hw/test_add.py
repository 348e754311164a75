import numpy as np
import pytest

from sqwire.hw.add import Add
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U4, S4 = Range.unsigned(4), Range.signed(4)

CASES = {
    "unsigned": ((U4, U4), (1, 1)),
    "signed": ((S4, S4), (1, 1)),
    "signed and unsigned": ((U4, Range.signed(3)), (1, 1)),
    "narrow and wide": ((Range(0, 1), Range.signed(8)), (1, 1)),
    "negative only": ((Range(-9, -2), Range(-3, -1)), (1, 1)),
    "one value": ((Range(5, 5), Range.unsigned(2)), (1, 1)),
    "difference": ((U4, S4), (1, -1)),
    "scales of two to three": ((U4, U4), (2, 3)),
    "all factors negative": ((U4, S4), (-1, -5)),
    "three inputs": ((U4, S4, Range(-1, 0)), (1, 1, 1)),
    "five inputs with factors": ((U4, S4, U4, S4, U4), (7, -3, 1, 2, -16)),
}


def frames(codes, lanes, beats, seed):
    """Frame 0 the lowest codes, frame 1 the highest, 2 and 3 random."""
    x = np.random.default_rng(seed).integers(codes.lo, codes.hi + 1, (4, beats, lanes))
    x[0], x[1] = codes.lo, codes.hi
    return x


@pytest.mark.parametrize(("ranges", "factors"), CASES.values(), ids=CASES.keys())
def test_sums_are_exact_and_the_range_is_reached(ranges, factors, on_time):
    spec = Add(tuple((r, r, r) for r in ranges), factors, beats=5)
    x = [frames(r, 3, 5, seed) for seed, r in enumerate(ranges)]
    for part, factor in zip(x, factors, strict=True):
        if factor < 0:
            part[[0, 1]] = part[[1, 0]]
    y = spec.compute(*x)
    for at in np.ndindex(y.shape):
        assert y[at] == sum(f * int(part[at]) for part, f in zip(x, factors, strict=True))
    assert (y.min(), y.max()) == (spec.outputs[0].range.lo, spec.outputs[0].range.hi)
    timing = check_operator(spec, *x)
    on_time(spec, timing)
    assert timing.in_cycles == (tuple(range(20)),) * len(ranges), "one beat of each a cycle"


def test_two_inputs_with_factors_of_one_take_one_cycle():
    assert Add(((U4,), (S4,)), (1, 1)).latency_cycles == 1


def test_every_lane_has_the_range_of_its_own_sum():
    spec = Add(((U4, Range(0, 1)), (S4, Range(2, 2))), (1, -2))
    assert spec.row_ranges == (Range(-14, 31), Range(-4, -3))


def test_inputs_with_unequal_lanes_are_refused():
    with pytest.raises(ValueError, match=r"as many lanes, not \[2, 3\]"):
        Add(((U4,) * 2, (U4,) * 3), (1, 1))


@pytest.mark.parametrize("factors", [(1,), (1, 0), (1, 1, 1)])
def test_factors_that_do_not_fit_are_refused(factors):
    with pytest.raises(ValueError, match="factors must be one an input"):
        Add(((U4,), (U4,)), factors)


def test_one_input_is_refused():
    with pytest.raises(ValueError, match="inputs must be at least 2"):
        Add(((U4,),), (1,))


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Add(((U4,), (U4,)), (1, 1), 0)
