import numpy as np
import pytest

from sqwire.hw.folded.affine import Affine
from sqwire.hw.folded.functions import Functions
from sqwire.hw.folded.requantise import Search
from sqwire.hw.ranges import Range
from sqwire.hw.staircase import Staircase
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator


def lines(channels, codes, levels, seed=0):
    """Scaled, shifted and clamped: a multiplier does it."""
    rng = np.random.default_rng(seed)
    x = np.arange(codes.lo, codes.hi + 1)
    return tuple(
        Steps.tabulate(codes.lo, np.clip(np.rint(x * slope + shift), 0, levels).astype(int))
        for slope, shift in zip(rng.uniform(0.2, 1.5, channels), rng.uniform(-3, 3, channels),
                                strict=True)
    )  # fmt: skip


def tables(channels, codes, seed=0):
    """Anything."""
    rng = np.random.default_rng(seed)
    return tuple(Steps.tabulate(codes.lo, rng.integers(-3, 5, codes.size)) for _ in range(channels))


S5 = Range.signed(5)
CASES = {
    "lines": Functions(lines(6, S5, 7), (S5,) * 6, 1, 4),
    "lines, two lanes": Functions(lines(6, S5, 7), (S5,) * 6, 2, 4),
    "no multiplier": Functions(lines(4, S5, 7), (S5,) * 4, 1, 4, multiply=False),
    "tables": Functions(tables(4, S5), (S5,) * 4, 2, 4),
    "a lane of each kind": Functions(
        (lines(1, S5, 7) + tables(1, S5)) * 3, (S5,) * 6, lanes=2, positions=3
    ),
    "unequal ranges": Functions(
        lines(3, S5, 7), (S5, Range(-2, 3), Range(0, 9)), lanes=1, positions=4
    ),
    "one channel": Functions(tables(1, S5), (S5,), 1, 8),
    "constants": Functions((Steps(np.array([]), np.array([3])),) * 2, (S5,) * 2, 1, 4),
    "all channels at once": Functions(lines(4, S5, 7), (S5,) * 4, 4, 4),
    "constants in a block RAM": Functions(lines(300, S5, 7), (S5,) * 300, 1, 1),
}


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES.keys())
def test_component_equals_compute_equals_the_staircase(spec, on_time):
    channels = len(spec.steps)
    low, high = ([getattr(r, end) for r in spec.ranges] for end in ("lo", "hi"))
    rng = np.random.default_rng(1)
    x = rng.integers(low, np.add(high, 1), (4, spec.positions, channels))
    x[0], x[1] = low, high
    staircase = Staircase(spec.steps, spec.ranges, spec.positions)
    x = x.reshape(4, spec.beats_in, spec.lanes)
    y = staircase.compute(x.reshape(4, -1, channels))
    assert np.array_equal(spec.compute(x).reshape(y.shape), y)
    assert spec.outputs[0].range == staircase.outputs[0].range
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(4 * spec.beats_in)), "one input beat a cycle"


def test_lines_take_a_multiplier_and_tables_a_search():
    kinds = [type(circuit) for circuit in CASES["a lane of each kind"].circuits]
    assert kinds == [Affine, Search]
    assert isinstance(CASES["no multiplier"].circuits[0], Search)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranges": (S5,)}, "one a channel, not 2 and 1"),
        ({"steps": (), "ranges": ()}, "one a channel, not 0 and 0"),
        ({"lanes": 3}, "lanes must divide the channels .2., not 3"),
        ({"positions": 0}, "positions must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    fields = {"steps": lines(2, S5, 7), "ranges": (S5, S5)}
    with pytest.raises(ValueError, match=message):
        Functions(**fields | change)
