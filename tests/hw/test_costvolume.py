import numpy as np
import pytest

from sqwire.hw.costvolume import CostVolume
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U4, S4 = Range.unsigned(4), Range.signed(4)

CASES = {
    "two channels": CostVolume(2, 9, (U4,) * 2, (U4,) * 2, 4),
    "three signed channels": CostVolume(3, 5, (S4,) * 3, (S4,) * 3, 3),
    "products": CostVolume(2, 6, (S4,) * 3, (U4,) * 3, 4, "product"),
    "one channel": CostVolume(2, 4, (U4,), (U4,), 3),
    "one shift": CostVolume(2, 4, (U4,) * 5, (U4,) * 5, 1),
    "more shifts than columns": CostVolume(3, 3, (U4,) * 2, (U4,) * 2, 6),
    "one column": CostVolume(4, 1, (U4,) * 2, (U4,) * 2, 3),
    "unlike ranges": CostVolume(2, 5, (U4, Range(3, 3)), (Range(-2, 7), Range(5, 9)), 3),
}


def frames(spec, side, seed):
    """Smallest codes, largest codes, and random ones of each channel's own range."""
    ranges = (spec.left, spec.right)[side]
    rng = np.random.default_rng(seed)
    low, high = (np.array([getattr(r, end) for r in ranges]) for end in ("lo", "hi"))
    shape = (spec.beats_in, len(ranges))
    some = [rng.integers(low, high + 1, shape) for _ in range(2)]
    ends = [np.broadcast_to(low, shape), np.broadcast_to(high, shape)]
    return np.stack([*ends[:: 1 - 2 * side], *some])


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_definition(spec, on_time):
    left, right = frames(spec, 0, 1), frames(spec, 1, 2)
    want = []
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        for at in range(spec.beats_in):
            row = []
            for d in range(spec.shifts):
                other = b[at - d] if at % spec.width >= d else [0] * len(spec.left)
                f = (lambda x, y: x * y) if spec.form == "product" else (lambda x, y: abs(x - y))
                row.append(sum(f(x, y) for x, y in zip(a[at], other, strict=True)))
            want.append(row)
    found = spec.compute(left, right)
    assert found.reshape(-1, spec.shifts).tolist() == want
    assert found.min() >= spec.range.lo and found.max() <= spec.range.hi
    on_time(spec, check_operator(spec, left, right))


def test_the_range_is_what_can_come_out():
    spec = CostVolume(1, 2, (U4, S4), (U4, S4), 2)
    assert spec.range == Range(0, 30)
    assert CostVolume(1, 2, (U4, S4), (U4, S4), 2, "product").range == Range(-56, 225 + 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 0}, "height must be at least 1"),
        ({"shifts": 0}, "shifts must be at least 1"),
        ({"right": (U4,)}, "as many channels, not 2 and 1"),
        ({"form": "census"}, 'form must be "difference" or "product", not "census"'),
    ],
)
def test_what_makes_no_sense_is_refused(change, said):
    fields = {"height": 2, "width": 2, "left": (U4,) * 2, "right": (U4,) * 2, "shifts": 2}
    with pytest.raises(ValueError, match=said):
        CostVolume(**fields | change)
