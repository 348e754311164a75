"""How fast a clock may be on a board at most, whatever the circuit."""

from __future__ import annotations

from .board import Board

__all__ = ["memory_hz", "pll_hz"]

# The highest output of a PLL, Hz: data sheets as in :mod:`sqwire.boards.pll`.
_PLL = {"ecp5": 400e6, "ice40": 275e6, "gowin": 600e6}
# A word of a block RAM into a register, MHz as nextpnr routes it: bench/speeds.py.
_MEMORY = {
    ("ecp5", "6"): 155,
    ("ecp5", "8"): 211,
    ("ice40", "hx8k"): 313,
    ("ice40", "up5k"): 229,
}


def pll_hz(board: Board) -> float:
    """The fastest clock that the board's PLL makes."""
    return _PLL[board.family]


def memory_hz(board: Board) -> float:
    """The fastest clock for circuits with a block RAM, no faster than the PLL."""
    return min(pll_hz(board), 1e6 * _MEMORY.get(key(board), float("inf")))


def key(board: Board) -> tuple[str, str]:
    """What boards of one speed have in common; the 5G variant of an ECP5 is another one."""
    speed = board.speed or board.device
    return board.family, f"5g-{speed}" if "5g" in board.device else speed
