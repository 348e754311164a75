"""What the flow must know about a board: the device, its clock and some pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Board", "Resources"]


@dataclass(frozen=True)
class Resources:
    """What the device holds: 4-input look-up tables, flip-flops, 18x18 multipliers, and block
    RAMs of 18 kbit."""

    lut4: int
    ff: int
    dsp: int
    bram: int


@dataclass(frozen=True)
class Board:
    """A board with a Lattice ECP5.

    ``name`` is what the command line takes. ``device``, ``package`` and ``speed`` are as nextpnr
    takes them (``85k``, ``CABGA381``, 6). ``clock_site`` is the ball of the oscillator of
    ``clock_hz``. ``header`` gives the ball of each free header pin; ``shell`` says which of those
    the pins of :class:`sqwire.boards.shell.Shell` use. ``io_type`` is the voltage standard of all
    of them. ``programmer`` is the board's name in openFPGALoader.

    Raises
    ------
    ValueError
        If ``shell`` names a pin that the header does not have, or one pin twice.
    """

    name: str
    title: str
    device: str
    package: str
    speed: int
    resources: Resources
    clock_site: str
    clock_hz: int
    io_type: str
    header: Mapping[str, str]
    shell: Mapping[str, str]
    programmer: str

    def __post_init__(self) -> None:
        used: set[str] = set()
        for port, pin in self.shell.items():
            if pin not in self.header:
                raise ValueError(f'Board "{self.name}": {port} must be on the header, not "{pin}"')
            if pin in used:
                raise ValueError(f'Board "{self.name}": pin "{pin}" must have one use, not two')
            used.add(pin)

    def constraints(self) -> str:
        """The pins as a Lattice preference file: ``clk`` and the ports in ``shell``."""
        lines = [_locate("clk", self.clock_site, f"IO_TYPE={self.io_type}")]
        for port, pin in self.shell.items():
            # Pulled down, so that an open input is 0: no reset, no shift, no transfer.
            lines.append(_locate(port, self.header[pin], f"IO_TYPE={self.io_type} PULLMODE=DOWN"))
        return "".join(lines)


def _locate(port: str, site: str, attributes: str) -> str:
    return f'LOCATE COMP "{port}" SITE "{site}";\nIOBUF PORT "{port}" {attributes};\n'
