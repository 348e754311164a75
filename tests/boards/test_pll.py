"""Clocks out of PLLs: exact, within the limits, or refused with the nearest."""

import re
from fractions import Fraction

import pytest

from sqwire.boards.pll import PllError, ecp5, gowin, ice40


@pytest.mark.parametrize("oscillator_hz", [12_000_000, 25_000_000, 48_000_000, 100_000_000])
@pytest.mark.parametrize("clock_hz", [10_000_000, 48_000_000, 50_000_000, 133_000_000, 400_000_000])
def test_ecp5_is_exact_and_within_its_limits(oscillator_hz, clock_hz):
    possible = any(
        Fraction(oscillator_hz * f, i) == clock_hz and oscillator_hz / i >= 3_125_000
        for i in range(1, 129)
        for f in range(1, 81)
    )
    if not possible:
        with pytest.raises(PllError):
            ecp5(oscillator_hz, clock_hz)
        return
    p = ecp5(oscillator_hz, clock_hz).parameters
    detector = Fraction(oscillator_hz, p["CLKI_DIV"])
    assert detector * p["CLKFB_DIV"] == clock_hz
    assert 3_125_000 <= detector <= 400_000_000
    assert 400_000_000 <= clock_hz * p["CLKOP_DIV"] <= 800_000_000


def test_ecp5_settings_are_those_of_ecppll():
    # ecppll -i 25 -o 50: CLKI_DIV 1, CLKFB_DIV 2, CLKOP_DIV 12, CPHASE 5.
    p = ecp5(25_000_000, 50_000_000).parameters
    assert [p[k] for k in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE")] == [1, 2, 12, 5]


def test_ice40_settings_are_those_of_icepll():
    # icepll -i 12 -o 24: DIVR 0, DIVF 63, DIVQ 5, FILTER_RANGE 1.
    pll = ice40(12_000_000, 24_000_000, pad=True)
    keys = ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")
    assert [pll.parameters[k] for k in keys] == [0, 63, 5, 1]
    assert (pll.cell, pll.clock) == ("SB_PLL40_PAD", "PACKAGEPIN")
    core = ice40(12_000_000, 24_000_000, pad=False)
    assert (core.cell, core.clock) == ("SB_PLL40_CORE", "REFERENCECLK")


@pytest.mark.parametrize("clock_hz", [18_000_000, 36_000_000, 48_000_000, 60_000_000])
def test_ice40_is_exact_and_within_its_limits(clock_hz):
    p = ice40(12_000_000, clock_hz, pad=False).parameters
    detector = Fraction(12_000_000, p["DIVR"] + 1)
    vco = detector * (p["DIVF"] + 1)
    assert vco / 2 ** p["DIVQ"] == clock_hz
    assert detector >= 10_000_000
    assert 533_000_000 <= vco <= 1_066_000_000


@pytest.mark.parametrize("clock_hz", [27_000_000, 36_000_000, 54_000_000, 81_000_000])
def test_gowin_is_exact_and_within_its_limits(clock_hz):
    p = gowin(27_000_000, clock_hz, device="GW1N-9C").parameters
    detector = Fraction(27_000_000, p["IDIV_SEL"] + 1)
    assert detector * (p["FBDIV_SEL"] + 1) == clock_hz
    assert detector >= 3_000_000
    assert 400_000_000 <= clock_hz * p["ODIV_SEL"] <= 1_200_000_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ice40(12_000_000, 50_000_000, pad=True),
            "iCE40.* 12 MHz, not 50 MHz; try 49.5 or",
        ),
        (lambda: ecp5(25_000_000, 51_300_000), "ECP5.* 25 MHz, not 51.3 MHz; try"),
        (lambda: ecp5(25_000_000, 1_000_000), "ECP5.*, not 1 MHz; try 10 MHz"),
        (
            lambda: gowin(27_000_000, 50_000_000, device="GW1N-9C"),
            "Gowin.*, not 50 MHz; try 49.5 or",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_nearest(make, message):
    with pytest.raises(PllError, match=f"^Clock: .*{message}"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda clock_hz: ecp5(25_000_000, clock_hz),
        lambda clock_hz: ecp5(48_000_000, clock_hz),
        lambda clock_hz: ecp5(100_000_000, clock_hz),
        lambda clock_hz: ice40(12_000_000, clock_hz, pad=True),
        lambda clock_hz: gowin(27_000_000, clock_hz, device="GW1N-9C"),
    ],
)
@pytest.mark.parametrize("wanted", [18_123_457, 33_333_333, 50_000_001, 77_777_777, 142_857_143])
def test_the_nearest_that_are_named_can_be_made(make, wanted):
    with pytest.raises(PllError) as refused:
        make(wanted)
    named = re.search("; try (.*) MHz$", str(refused.value))[1].split(" or ")
    for one in named:
        # As the command line takes it.
        assert make(int(float(one) * 1e6)).clock_hz == pytest.approx(float(one) * 1e6)
