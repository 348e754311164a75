"""Exact staircases, at and near ties, for every function that may stand in them."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from sqwire.train.exact import Chain, settle
from sqwire.train.functions import Affine, Clip, HardSwish, LeakyRelu, Relu, Sigmoid, Silu


def affine(gain, bias):
    return Affine(np.array([gain], dtype=np.float32), np.array([bias], dtype=np.float32))


def chain(gain, bias, *functions, low=0, high=15):
    return Chain((affine(gain, bias), *functions), low, high)


def by_fractions(c, acc):
    return [min(max(round(c.exact(int(a), 0)), c.low), c.high) for a in acc[0]]


CHAINS = {
    "half": chain(0.5, 0),
    "falling": chain(-0.5, 7),
    "tenth": chain(0.1, 0),
    "third": chain(1 / 3, 1 / 6),
    "signed": chain(0.25, -0.5, low=-8, high=7),
    "relu": chain(0.5, 0.5, Relu()),
    "leaky": chain(0.5, 0.5, LeakyRelu(0.25), low=-8, high=7),
    "clip": chain(0.125, 0.5, Clip(-1.25, 3.25), low=-8, high=7),
    "hardswish": chain(0.25, 0, HardSwish(), affine(2, 0), low=-8, high=7),
    "silu": chain(0.25, 0, Silu(), affine(2, 0.5), low=-8, high=7),
    "sigmoid": chain(0.25, 0, Sigmoid(), affine(15, 0)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_code_is_that_of_fractions(name):
    acc = np.arange(-300, 301)[None]
    assert CHAINS[name](acc)[0].tolist() == by_fractions(CHAINS[name], acc)


@pytest.mark.parametrize("name", CHAINS)
def test_settled_chain_is_the_same_in_float32_and_moves_little(name):
    c = CHAINS[name]
    acc = np.arange(-200, 201)[None]
    moved = settle(c, [(-200, 200)])
    assert moved.doubtful(acc)[0] == 0
    where = max(k for k, f in enumerate(c.functions) if isinstance(f, Affine))
    assert abs(moved.functions[where].bias - c.functions[where].bias)[0] < 1e-3
    value = acc.astype(np.float32)
    for f in moved.functions:
        value = f.double(value).astype(np.float32)
    codes = np.clip(np.rint(value), c.low, c.high).astype(int)
    assert codes[0].tolist() == by_fractions(moved, acc)


def test_exact_ties_go_to_even():
    assert chain(0.5, 0)(np.arange(0, 8)[None])[0].tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_float32_tie_that_is_none_is_rounded_as_the_constants_say():
    c = chain(0.1, 0)  # the float32 next to 0.1 is above it, so 5 * gain is above a half
    assert np.float32(5) * c.functions[0].gain[0] == np.float32(0.5)
    assert c(np.array([[5]]))[0, 0] == 1
    assert c.doubtful(np.array([[5]]))[0] == 1


def test_chain_off_all_ties_is_left_alone():
    c = chain(1, 0)
    assert settle(c, [(-50, 50)]) is c


def test_chain_with_too_many_ties_is_left_alone():
    c = chain(1e-7, 0.5)  # neighbours are closer than float32 can tell apart
    assert settle(c, [(-500_000, 499_999)], tries=2) is c


@pytest.mark.parametrize("bad", [(np.nan, 0), (1, np.inf)])
def test_constants_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="gain and bias must be finite"):
        affine(*bad)


@pytest.mark.parametrize("f", [Relu(), LeakyRelu(0.1), Clip(-1.0, 6.0)])
@pytest.mark.parametrize("s", [0.25, 3.0])
def test_scaled_function_of_a_quotient_is_the_quotient(f, s):
    v = np.linspace(-9, 9, 101)
    assert np.allclose(f.scaled(s).double(v / s), f.double(v) / s, rtol=1e-6)


@pytest.mark.parametrize("f", [HardSwish(), Silu(), Sigmoid()])
def test_double_and_exact_agree(f):
    for v in np.linspace(-12, 12, 97):
        exact = float(f.exact(Fraction(float(v)), 0))
        assert f.double(np.array([v]))[0] == pytest.approx(exact, rel=1e-12, abs=1e-15)


def test_sigmoid_is_exact_to_fifty_digits():
    want = 1 / (1 + (-Decimal(1)).exp())
    got = Sigmoid().exact(Fraction(1), 0)
    assert abs(got - Fraction(want)) < Fraction(1, 10**26)
    assert Sigmoid().exact(Fraction(1000), 0) == 1
