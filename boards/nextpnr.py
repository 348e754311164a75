"""Place and route."""

from __future__ import annotations

from collections.abc import Mapping

from .board import Board
from .report import Cells, Usage
from .tools import NEXTPNR, SynthError, Workshop

__all__ = ["check_fits", "place_and_route"]


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
    what, (need, limit) = max(needs.items(), key=lambda item: item[1][0] / item[1][1])
    if need > limit:
        raise SynthError(
            f"Design: {what} must be at most {limit} on {board.name}, not {need}; "
            "make the network smaller or sparser"
        )


def place_and_route(
    workshop: Workshop, board: Board, clock_hz: int, seed: int
) -> tuple[int, Mapping[str, Usage], float]:
    """Route ``design.json`` with the pins in ``design.lpf``; writes ``design.config`` and
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
    seconds = workshop.run(
        NEXTPNR,
        [
            *("-q", "-l", workshop.log(NEXTPNR)),
            *(f"--{board.device}", "--package", board.package, "--speed", str(board.speed)),
            *("--json", "design.json", "--lpf", "design.lpf"),
            *("--freq", f"{clock_hz / 1e6:.6f}", "--seed", str(seed)),
            # A design that is too slow is refused by the flow, which can say how slow it is.
            "--timing-allow-fail",
            *("--textcfg", "design.config", "--report", "timing.json"),
        ],
        ["design.config", "timing.json"],
    )
    report = workshop.read_json(NEXTPNR, "timing.json")
    if not report["fmax"]:
        raise workshop.error(NEXTPNR, "must find a clock", "no path joins two registers")
    fmax_hz = int(min(clock["achieved"] for clock in report["fmax"].values()) * 1e6)
    usage = {
        name: Usage(int(kind["used"]), int(kind["available"]))
        for name, kind in report["utilization"].items()
        if kind["used"]
    }
    return fmax_hz, usage, seconds
