import numpy as np
import pytest

from sqwire.compiler.schedule import schedule
from sqwire.hw.folded.affine import Affine
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
    spec = layer(steps, domain)
    x = np.arange(-200, 300).reshape(-1, 4, 1)
    want = np.stack([s(x) for s in steps], axis=-1).reshape(len(x), -1, 1)
    assert np.array_equal(spec.compute(x), want)
    check_operator(spec, x[::9])


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


def test_what_no_factor_does_is_searched():
    steps = (Steps(np.array([0, 1, 50]), np.array([0, 1, 2, 3])),)
    assert isinstance(choose(steps, (Range(-100, 100),), multiply=True), Search)
    assert isinstance(choose(steps, (Range(-100, 100),), multiply=False), Search)
