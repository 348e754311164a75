"""``python bench/speeds.py``: the fastest clock of a block RAM, as each device is routed.

A word out of a block RAM goes to a register, and nothing is between: no circuit of ours with a
block RAM in it can do more. Prints what belongs into :mod:`sqwire.boards.speeds`: the best of some
placements, in whole MHz, rounded up.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib.memory import Memory

from sqwire.boards import route, yosys
from sqwire.boards.board import Board
from sqwire.boards.catalog import boards
from sqwire.boards.families import FAMILIES
from sqwire.boards.speeds import key
from sqwire.boards.tools import Workshop

_DEPTH, _WIDTH, _SEEDS = 512, 8, (1, 2, 3)
_CLOCK_HZ = 400_000_000


def circuit() -> str:
    """Random words, one after another, each through a register to the pins."""
    clk, out, address = Signal(name="clk"), Signal(_WIDTH, name="out"), Signal(range(_DEPTH))
    m = Module()
    m.domains.sync = domain = ClockDomain("sync", reset_less=True)
    m.d.comb += domain.clk.eq(clk)
    words = np.random.default_rng(0).integers(0, 1 << _WIDTH, _DEPTH).tolist()
    m.submodules.rom = rom = Memory(
        shape=_WIDTH, depth=_DEPTH, init=words, attrs={"ram_style": "block"}
    )
    port = rom.read_port()
    word = Signal(_WIDTH)
    m.d.comb += port.addr.eq(address)
    # A feedback shift register: no carries, so the block RAM is the slowest.
    feedback = address[8] ^ address[4]
    m.d.sync += [address.eq((address << 1) | ~feedback), word.eq(port.data), out.eq(word)]
    return str(rtlil.convert(m, name="top", ports=[clk, out], emit_src=False))


def fastest(board: Board) -> int:
    """Fmax of the best placement, MHz."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "design.il").write_text(circuit())
        (work / "design.pins").write_text("")
        workshop = Workshop(work, work, lambda _: None)
        script = [
            *("read_rtlil design.il", "proc", "flatten -noscopeinfo"),
            *FAMILIES[board.family].map(board, "top", True),
            *("blackbox =A:whitebox", "clean", "write_json design.json"),
        ]
        yosys._run(workshop, "top", script, ["design.json"])
        for seed in _SEEDS:
            found.append(route.place_and_route(workshop, board, _CLOCK_HZ, seed)[0])
    return -(-max(found) // 1_000_000)


def main() -> None:
    seen = set()
    for board in boards():
        if key(board) not in seen and board.family != "gowin":  # wants a place for every pin
            seen.add(key(board))
            print(key(board), fastest(board), flush=True)


if __name__ == "__main__":
    main()
