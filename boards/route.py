"""Place, route and pack."""

from __future__ import annotations

from collections.abc import Mapping

from .board import Board
from .families import FAMILIES
from .report import Cells, Usage
from .tools import SynthError, Workshop

__all__ = ["check_fits", "pack", "place_and_route"]


def check_fits(design: Cells, board: Board) -> None:
    """Refuse a design that needs more than the device has, before minutes go into it.

    Raises
    ------
    SynthError
        Naming the resource that is exceeded most.
    """
    have = board.resources
    needs = {
        "LUT sites": (design.area, have.lut4),
        "flip-flops": (design.ff, have.ff),
        "multipliers": (design.dsp, have.dsp),
        "block RAMs": (design.bram, have.bram),
    }
    what, (need, limit) = max(needs.items(), key=lambda item: item[1][0] / max(item[1][1], 0.5))
    if need > limit:
        raise SynthError(
            f"Design: {what} must be at most {limit} on {board.name}, not {need}; "
            "make the network smaller or sparser, or take a larger board"
        )


def place_and_route(
    workshop: Workshop, board: Board, clock_hz: int, seed: int
) -> tuple[int, Mapping[str, Usage], float]:
    """Route ``design.json`` with the pins in ``design.pins``; writes ``design.routed`` and
    ``timing.json`` (nextpnr's report: critical paths, utilisation).

    Returns
    -------
    fmax_hz : int
        The highest clock, which may lie below ``clock_hz``.
    usage : Mapping[str, Usage]
        The kinds of sites that are used.
    seconds : float

    Raises
    ------
    SynthError
        If nextpnr fails or finds no path between registers.
    """
    family = FAMILIES[board.family]
    seconds = workshop.run(
        family.nextpnr,
        [
            *("-q", "-l", workshop.log(family.nextpnr)),
            *family.route(board, clock_hz, seed),
            # A design that is too slow is refused by the flow, which can say how slow it is.
            "--timing-allow-fail",
        ],
        ["design.routed", "timing.json"],
    )
    report = workshop.read_json(family.nextpnr, "timing.json")
    if not report["fmax"]:
        raise workshop.error(family.nextpnr, "must find a clock", "no path joins two registers")
    fmax_hz = int(min(clock["achieved"] for clock in report["fmax"].values()) * 1e6)
    usage = {
        name: Usage(int(kind["used"]), int(kind["available"]))
        for name, kind in report["utilization"].items()
        if kind["used"]
    }
    return fmax_hz, usage, seconds


def pack(workshop: Workshop, board: Board) -> float:
    """Pack ``design.routed`` to the bitstream ``design.bit``; the seconds it took.

    Raises
    ------
    SynthError
        If the packer fails.
    """
    family = FAMILIES[board.family]
    return workshop.run(family.packer, list(family.pack(board)), ["design.bit"])
