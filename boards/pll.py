"""Clocks: the exact settings of a device's PLL for a wanted frequency, or why there are none.

Limits are those of the data sheets: Lattice FPGA-DS-02012 (ECP5), FPGA-TN-02052 and DS-02029
(iCE40), Gowin DS117 (GW1NR-9, speed C6/I5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

__all__ = ["Pll", "PllError", "ecp5", "gowin", "ice40"]

Setting = tuple[Fraction, dict[str, int]]


class PllError(ValueError):
    """A frequency that the PLL cannot make; the message names the nearest that it can."""


@dataclass(frozen=True)
class Pll:
    """A PLL cell and how it is connected.

    ``clock``, ``output`` and ``lock`` are the names of its pins for the oscillator, the clock it
    makes and the signal that the clock is there; ``pins`` are the inputs that stay constant,
    ``feedback`` the pin, if any, that takes the output again.
    """

    cell: str
    clock_hz: int
    parameters: Mapping[str, int | str]
    clock: str
    output: str
    lock: str
    pins: Mapping[str, Any]
    feedback: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def ecp5(oscillator_hz: int, clock_hz: int) -> Pll:
    """EHXPLLL with feedback from its output: ``clock = oscillator / CLKI_DIV * CLKFB_DIV``.

    The phase detector runs at 3.125 to 400 MHz, the oscillator of the PLL, ``clock * CLKOP_DIV``,
    at 400 to 800 MHz, the output at 10 to 400 MHz.
    """

    def settings() -> Iterator[Setting]:
        for i in range(1, 129):
            detector = Fraction(oscillator_hz, i)
            for f in range(1, 81):
                made = detector * f
                if 3_125_000 <= detector <= 400_000_000 and 10_000_000 <= made <= 400_000_000:
                    # In the middle of its range the oscillator has most margin.
                    o = max(1, min(128, round(600_000_000 / made)))
                    if 400_000_000 <= made * o <= 800_000_000:
                        yield made, {"CLKI_DIV": i, "CLKFB_DIV": f, "CLKOP_DIV": o}

    best = _exact("ECP5", oscillator_hz, clock_hz, settings())
    return Pll(
        "EHXPLLL",
        clock_hz,
        {
            **best,
            "CLKOP_CPHASE": best["CLKOP_DIV"] // 2 - 1 if best["CLKOP_DIV"] > 1 else 0,
            "CLKOP_FPHASE": 0,
            "CLKOP_ENABLE": "ENABLED",
            "FEEDBK_PATH": "CLKOP",
            "OUTDIVIDER_MUXA": "DIVA",
            "PLLRST_ENA": "DISABLED",
            "INTFB_WAKE": "DISABLED",
            "STDBY_ENABLE": "DISABLED",
            "DPHASE_SOURCE": "DISABLED",
        },
        clock="CLKI",
        output="CLKOP",
        lock="LOCK",
        feedback="CLKFB",
        # As ecppll has them.
        pins={
            **dict.fromkeys(["RST", "STDBY", "PHASESEL0", "PHASESEL1"], 0),
            **dict.fromkeys(["PHASEDIR", "PHASESTEP", "PHASELOADREG"], 1),
            **dict.fromkeys(["PLLWAKESYNC", "ENCLKOP"], 0),
        },
        attributes={
            "FREQUENCY_PIN_CLKI": f"{oscillator_hz / 1e6:g}",
            "FREQUENCY_PIN_CLKOP": f"{clock_hz / 1e6:g}",
            "ICP_CURRENT": "12",
            "LPF_RESISTOR": "8",
            "MFG_ENABLE_FILTEROPAMP": "1",
            "MFG_GMCREF_SEL": "2",
        },
    )


def ice40(oscillator_hz: int, clock_hz: int, *, pad: bool) -> Pll:
    """SB_PLL40_PAD or _CORE, simple feedback: ``oscillator * (DIVF + 1) / (DIVR + 1) / 2**DIVQ``.

    ``pad`` where the oscillator is at the pin beside the PLL, which is then its input only. The
    phase detector runs at 10 to 133 MHz, the oscillator of the PLL at 533 to 1066 MHz.
    """

    def settings() -> Iterator[Setting]:
        for r in range(16):
            detector = Fraction(oscillator_hz, r + 1)
            for f in range(128):
                vco = detector * (f + 1)
                if 10_000_000 <= detector <= 133_000_000 and 533_000_000 <= vco <= 1_066_000_000:
                    for q in range(1, 7):
                        yield vco / 2**q, {"DIVR": r, "DIVF": f, "DIVQ": q}

    best = _exact("iCE40", oscillator_hz, clock_hz, settings())
    detector = oscillator_hz / (best["DIVR"] + 1)
    limits = (17e6, 26e6, 44e6, 66e6, 101e6)
    return Pll(
        "SB_PLL40_PAD" if pad else "SB_PLL40_CORE",
        clock_hz,
        {
            "FEEDBACK_PATH": "SIMPLE",
            "PLLOUT_SELECT": "GENCLK",
            **best,
            "FILTER_RANGE": 1 + sum(detector >= limit for limit in limits),
        },
        clock="PACKAGEPIN" if pad else "REFERENCECLK",
        output="PLLOUTGLOBAL",
        lock="LOCK",
        pins={"RESETB": 1, "BYPASS": 0},
    )


def gowin(oscillator_hz: int, clock_hz: int, *, device: str) -> Pll:
    """rPLL: ``clock = oscillator * (FBDIV_SEL + 1) / (IDIV_SEL + 1)``.

    The phase detector runs at 3 to 400 MHz, the oscillator of the PLL, ``clock * ODIV_SEL``, at 400
    to 1200 MHz, the output at 3.125 to 600 MHz.
    """

    def settings() -> Iterator[Setting]:
        for i in range(64):
            detector = Fraction(oscillator_hz, i + 1)
            for f in range(64):
                made = detector * (f + 1)
                if 3_000_000 <= detector <= 400_000_000 and 3_125_000 <= made <= 600_000_000:
                    for o in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                        if 400_000_000 <= made * o <= 1_200_000_000:
                            yield made, {"IDIV_SEL": i, "FBDIV_SEL": f, "ODIV_SEL": o}
                            break

    best = _exact("Gowin", oscillator_hz, clock_hz, settings())
    return Pll(
        "rPLL",
        clock_hz,
        {
            **best,
            "FCLKIN": f"{oscillator_hz / 1e6:g}",
            "DEVICE": device,
            "DYN_IDIV_SEL": "false",
            "DYN_FBDIV_SEL": "false",
            "DYN_ODIV_SEL": "false",
            "PSDA_SEL": "0000",
            "DYN_DA_EN": "false",
            "DUTYDA_SEL": "1000",
            "CLKOUT_FT_DIR": 1,
            "CLKOUTP_FT_DIR": 1,
            "CLKOUT_DLY_STEP": 0,
            "CLKOUTP_DLY_STEP": 0,
            "CLKFB_SEL": "internal",
            "CLKOUT_BYPASS": "false",
            "CLKOUTP_BYPASS": "false",
            "CLKOUTD_BYPASS": "false",
            "DYN_SDIV_SEL": 2,
            "CLKOUTD_SRC": "CLKOUT",
            "CLKOUTD3_SRC": "CLKOUT",
        },
        clock="CLKIN",
        output="CLKOUT",
        lock="LOCK",
        pins={
            **dict.fromkeys(["RESET", "RESET_P", "CLKFB"], (0, 1)),
            **dict.fromkeys(["FBDSEL", "IDSEL", "ODSEL"], (0, 6)),
            **dict.fromkeys(["PSDA", "DUTYDA", "FDLY"], (0, 4)),
        },
    )


def _exact(
    family: str, oscillator_hz: int, clock_hz: int, settings: Iterator[Setting]
) -> dict[str, int]:
    """The setting for exactly ``clock_hz`` with the smallest dividers.

    Raises
    ------
    PllError
        If there is none; names the nearest frequencies below and above.
    """
    found: dict[Fraction, dict[str, int]] = {}
    for made, setting in settings:
        # One that is asked for is of whole hertz; others could be named, but never had.
        if made.denominator == 1:
            found.setdefault(made, setting)
    if clock_hz in found:
        return found[Fraction(clock_hz)]
    below = max((made for made in found if made < clock_hz), default=None)
    above = min((made for made in found if made > clock_hz), default=None)
    near = " or ".join(f"{float(made) / 1e6:.9g}" for made in (below, above) if made is not None)
    raise PllError(
        f"Clock: it must be one that the {family}'s PLL makes of {oscillator_hz / 1e6:g} MHz, not "
        f"{clock_hz / 1e6:.9g} MHz; try {near or 'another oscillator'} MHz"
    )
