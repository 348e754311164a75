import numpy as np
import pytest

from sqwire.compiler.schedule import schedule
from sqwire.hw.folded.affine import Affine, _bends, _bounds, _parts, _reaching, _solvable, levels_of
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.requantise import Search, choose
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.sim.check import check_operator


def rounded(domain, divisor, lo, hi, offset=0):
    """``clamp(round_half_even((x + offset) / divisor))`` on ``domain``."""
    x = np.arange(domain.lo, domain.hi + 1)
    return Steps.tabulate(domain.lo, np.clip(np.rint((x + offset) / divisor).astype(int), lo, hi))


def layer(steps, domain, multiplier="lut"):
    """One input, one weight of 1 and one function an output channel."""
    w = np.ones((len(steps), 1, 1, 1), np.int64)
    return Folded(1, 4, domain, w, schedule(w, 1, 1), steps=steps, multiplier=multiplier)


@pytest.mark.parametrize("divisor", [2, 4, 32, -4])
@pytest.mark.parametrize("levels", [(0, 15), (-8, 7), (-1, 0)])
def test_ties_go_to_even(divisor, levels):
    domain = Range(-200, 300)
    steps = (rounded(domain, divisor, *levels), rounded(domain, divisor, *levels, offset=37))
    circuit = choose(steps, (domain, domain), multiply=True)
    assert isinstance(circuit, Affine)
    _holds(steps, domain)


def test_ties_of_uneven_steps_are_half_even_in_hardware_too():
    domain = Range(-64, 63)
    steps = (rounded(domain, 4, -8, 7),)
    spec = layer(steps, domain)
    assert spec.requantise[0].to_even and spec.requantise[0].latency_cycles == 6
    check_operator(spec, np.arange(-64, 64).reshape(-1, 4, 1))


def test_a_single_step_has_a_small_factor_beside_a_channel_that_needs_a_fine_one():
    """Any large factor makes a single step; the multiplier takes 18 bits."""
    domain = Range(-2000, 2000)
    single = Steps(np.array([3]), np.array([0, 1]))
    circuit = choose((single, rounded(domain, 133.7, 0, 1)), (domain, domain), multiply=True)
    assert isinstance(circuit, Affine)
    assert abs(circuit.factor).max() < 1 << 4
    circuit = choose((single, rounded(domain, 133.7, 0, 15)), (domain, domain), multiply=True)
    assert isinstance(circuit, Affine)


def test_functions_of_65_thousand_levels_are_fitted_too():
    """Pairs of all of them would take 34 GB."""
    domain = Range(-3 << 15, 3 << 15)
    circuit = choose((rounded(domain, 3, -(1 << 15), (1 << 15) - 1),), (domain,), multiply=True)
    assert isinstance(circuit, Affine)
    assert circuit.levels == Range.signed(16)


def leaky(domain, divisor, lo, hi, offset=0, slope=0.1):
    """``clamp(round_half_even(leaky_relu((x + offset) / divisor)))`` on ``domain``."""
    x = (np.arange(domain.lo, domain.hi + 1) + offset) / divisor
    y = np.where(x < 0, slope * x, x)
    return Steps.tabulate(domain.lo, np.clip(np.rint(y).astype(int), lo, hi))


@pytest.mark.parametrize("slope", [0, 0.1, 0.5, 3])
@pytest.mark.parametrize("divisor", [11.3, -7.7, 1000])
def test_no_level_at_which_two_lines_may_meet_is_missed(divisor, slope):
    domain = Range(-200, 300)
    sigmoid = 15 / (1 + np.exp(-np.arange(-200, 301) / 60))
    curved = Steps.tabulate(domain.lo, np.rint(sigmoid).astype(int))
    for own in (leaky(domain, divisor, -2, 13, slope=slope), curved):
        levels = levels_of((own,))
        every = range(levels.lo + 1, levels.hi + 1)
        parts = {level: _parts(own, domain, _reaching(own, domain, level)) for level in every}
        meet = {n for n in every if all(_solvable(_bounds(*p, levels)) for p in parts[n])}
        assert _bends(own, domain, levels) == meet


@pytest.mark.parametrize("levels", [(-2, 13), (0, 15)])
@pytest.mark.parametrize("slope", [0.1, 3])
def test_a_line_with_a_bend_takes_one_multiplication(levels, slope):
    domain = Range(-200, 300)
    steps = (
        leaky(domain, 11.3, *levels, slope=slope),
        leaky(domain, 4.1, *levels, offset=-37, slope=slope),
        leaky(domain, -7.7, *levels, offset=37, slope=slope),
        leaky(domain, 1000, *levels, slope=slope),
        leaky(domain, 20.3, *levels, offset=400, slope=slope),
    )
    assert isinstance(choose(steps, (domain,) * len(steps), multiply=True), Affine)
    _holds(steps, domain)


@pytest.mark.parametrize("levels", [(-8, 7), (0, 15)])
def test_ties_go_to_even_on_both_sides_of_a_bend(levels):
    domain = Range(-200, 300)
    steps = tuple(leaky(domain, d, *levels, offset=20, slope=0.25) for d in (4, -8))
    circuit = choose(steps, (domain, domain), multiply=True)
    assert isinstance(circuit, Affine) and circuit.to_even
    _holds(steps, domain)


def test_what_turns_around_at_its_lowest_level_has_a_bend_too():
    domain = Range(-200, 300)
    steps = (leaky(domain, 11.3, -8, 7, slope=-0.5),)
    assert isinstance(choose(steps, (domain,), multiply=True), Affine)
    _holds(steps, domain)


def _holds(steps, domain):
    """Right for every integer, and in hardware for every ninth four of them."""
    spec = layer(steps, domain)
    x = np.arange(domain.lo, domain.hi).reshape(-1, 4, 1)
    want = np.stack([s(x) for s in steps], axis=-1).reshape(len(x), -1, 1)
    assert np.array_equal(spec.compute(x), want)
    check_operator(spec, x[::9])


@pytest.mark.parametrize("channels", [1, 150])
def test_a_bend_may_lie_anywhere_and_at_another_place_for_each_channel(channels):
    """Constants and bends of many channels lie in block RAM."""
    rng, domain = np.random.default_rng(0), Range(-900, 1000)
    steps = tuple(
        leaky(domain, rng.uniform(20, 90) * rng.choice([-1, 1]), -8, 7, offset=rng.uniform(-999, 0))
        for _ in range(channels)
    )
    spec = layer(steps, domain)
    (circuit,) = spec.requantise
    assert isinstance(circuit, Affine) and circuit.bend is not None
    kinds = {store.name: store.kind for store in circuit.stores("")}
    assert kinds["_constants"] == ("block" if channels > 1 else "lut")
    check_operator(spec, np.linspace(-900, 1000, 24).astype(int).reshape(-1, 4, 1))


def test_what_no_factor_does_is_searched():
    twos = np.array([-60, -59, -30, -29, 10, 11, 60, 61])  # narrow and wide steps in turn
    steps = (Steps(twos, np.arange(9)),)
    assert isinstance(choose(steps, (Range(-100, 100),), multiply=True), Search)
    assert isinstance(choose(steps, (Range(-100, 100),), multiply=False), Search)
