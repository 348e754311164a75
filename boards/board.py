"""What the flow and the host must know about a board, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from amaranth.build.dsl import Attrs, Pins, Resource, Subsignal

from .top import PORTS

__all__ = ["Board", "Pin", "Programmer", "Resources", "pins_of"]


@dataclass(frozen=True)
class Resources:
    """What the device holds: 4-input look-up tables, flip-flops, multipliers, block RAMs.

    ``bram_bits`` is what one block RAM holds.
    """

    lut4: int
    ff: int
    dsp: int
    bram: int
    bram_bits: int


@dataclass(frozen=True)
class Pin:
    """A pin of the device: ``site`` is its ball or number, ``invert`` whether low means yes,
    ``attributes`` what the device's constraint file takes (voltage standard, pull-up)."""

    site: str
    invert: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Programmer:
    """What loads a bitstream: ``command`` without the file, ``install`` how to get it."""

    command: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Board:
    """A board.

    ``name`` is what the command line takes. ``family`` names one of
    :data:`sqwire.boards.families.FAMILIES`; ``device``, ``package`` and ``speed`` are as its
    nextpnr takes them. ``oscillator_hz`` is the clock at pin ``clk``, ``clock_hz`` what designs
    run at unless another clock is wanted. ``pins`` has the pins of
    :class:`sqwire.boards.top.Top` that the board has. ``baud`` is what the line runs at unless
    another rate is wanted, ``usb_ids`` by what its adapter is found, ``ring_bytes`` the memory
    for frames that wait, and ``most_credits`` how many of these there are at most. ``pll_pad``
    says that the clock's pin is the PLL's own (iCE40).

    Raises
    ------
    ValueError
        If a pin that must be there is missing, is unknown or has two uses.
    """

    name: str
    title: str
    family: str
    device: str
    package: str
    speed: str
    resources: Resources
    oscillator_hz: int
    clock_hz: int
    pins: Mapping[str, Pin]
    programmer: Programmer
    baud: int = 3_000_000
    usb_ids: tuple[tuple[int, int], ...] = ()
    ring_bytes: int = 8192
    most_credits: int = 16
    pll_pad: bool = False

    def __post_init__(self) -> None:
        used: set[str] = set()
        for port in ("clk", "rx", "tx"):
            if port not in self.pins:
                raise ValueError(f'Board "{self.name}": it must have a pin for {port}')
        for port, pin in self.pins.items():
            if port not in PORTS:
                raise ValueError(f'Board "{self.name}": {port} must be one of {PORTS}')
            if pin.site in used:
                raise ValueError(f'Board "{self.name}": {pin.site} must have one use, not two')
            used.add(pin.site)

    @property
    def lit_low(self) -> bool:
        """Whether LEDs shine while their pin is low."""
        return "active" in self.pins and self.pins["active"].invert


def pins_of(platform: Any, **resources: tuple[str, int] | tuple[str, int, str]) -> dict[str, Pin]:
    """Pins out of a platform of amaranth-boards.

    Each of :data:`sqwire.boards.top.PORTS` is given as (name, number) of a resource, and the name
    of one of its subsignals where it has some.
    """
    known = {(r.name, r.number): r for r in platform.resources}
    return {port: _pin(known[key[:2]], *key[2:]) for port, key in resources.items()}


def _pin(resource: Resource, part: str | None = None) -> Pin:
    ios, attributes = list(resource.ios), dict(resource.attrs)
    if part is not None:
        (signal,) = (io for io in ios if isinstance(io, Subsignal) and io.name == part)
        ios, attributes = list(signal.ios), attributes | dict(signal.attrs)
    (pins,) = (io for io in ios if isinstance(io, Pins))
    attributes |= {key: value for io in ios if isinstance(io, Attrs) for key, value in io.items()}
    (site,) = pins.names
    return Pin(site, pins.invert, {key: str(value) for key, value in attributes.items()})
