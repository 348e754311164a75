import numpy as np
import pytest

from sqwire.hw.costvolume import CostVolume as Wide
from sqwire.hw.folded.costvolume import CostVolume
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

U4, S4 = Range.unsigned(4), Range.signed(4)

CASES = {
    "a shift at a time": CostVolume(Wide(2, 9, (U4,) * 2, (U4,) * 2, 5), 1),
    "two at a time": CostVolume(Wide(3, 7, (S4,) * 3, (S4,) * 3, 6), 2),
    "four at a time": CostVolume(Wide(2, 21, (U4,) * 2, (U4,) * 2, 16), 4),
    "two beats": CostVolume(Wide(2, 11, (U4,) * 2, (U4,) * 2, 16), 8),
    "products": CostVolume(Wide(2, 6, (S4,) * 3, (U4,) * 3, 4, "product"), 2),
    "one channel": CostVolume(Wide(2, 4, (U4,), (U4,), 4), 2),
    "more shifts than columns": CostVolume(Wide(3, 3, (U4,) * 2, (U4,) * 2, 12), 4),
    "one column": CostVolume(Wide(5, 1, (U4,) * 2, (U4,) * 2, 8), 4),
    "unlike ranges": CostVolume(Wide(2, 5, (U4, Range(3, 3)), (Range(-2, 7), Range(5, 9)), 4), 2),
}


def frames(ranges, positions, seed):
    """Smallest codes, largest codes, and random ones of each channel's own range."""
    rng = np.random.default_rng(seed)
    low, high = (np.array([getattr(r, end) for r in ranges]) for end in ("lo", "hi"))
    shape = (positions, len(ranges))
    some = [rng.integers(low, high + 1, shape) for _ in range(2)]
    return np.stack([np.broadcast_to(low, shape), np.broadcast_to(high, shape), *some])


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_computes_what_all_shifts_at_once_do(spec, on_time):
    left = frames(spec.volume.left, spec.beats_in, 1)
    right = frames(spec.volume.right, spec.beats_in, 2)[::-1]
    want = spec.volume.compute(left, right)
    assert spec.compute(left, right).reshape(want.shape).tolist() == want.tolist()
    timing = check_operator(spec, left, right)
    on_time(spec, timing)
    last = timing.last_out_cycle
    assert last + 1 == 4 * spec.beats_out + spec.latency_cycles, "one output beat a cycle"


@pytest.mark.parametrize(
    ("shifts", "lanes", "said"),
    [
        (6, 3, "lanes must be 1, 2, 4 or 8, not 3"),
        (6, 4, r"shifts must be twice the lanes \(4\) or another multiple, not 6"),
        (4, 4, r"shifts must be twice the lanes \(4\) or another multiple, not 4"),
    ],
)
def test_lanes_that_do_not_divide_are_refused(shifts, lanes, said):
    with pytest.raises(ValueError, match=said):
        CostVolume(Wide(2, 9, (U4,), (U4,), shifts), lanes)
