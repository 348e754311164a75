"""Colorlight i5 and i9 on the extension board by Muse Lab, whose debugger has a serial port.

amaranth-boards does not have them: pins are those of https://github.com/wuxx/Colorlight-FPGA-Projects
(i5 revision 7.0, i9 revision 7.2), which LiteX uses too.
"""

from __future__ import annotations

from sqwire.boards.board import Board, Pin

from .devices import ECP5_25F, ECP5_45F
from .programmers import open_fpga_loader

__all__ = ["BOARDS"]

_LEVEL = {"IO_TYPE": "LVCMOS33"}
_DAPLINK = ((0x0D28, 0x0204), (0x1D50, 0x602B))


def _board(name: str, size: int, led: str) -> Board:
    return Board(
        name=name,
        title=f"Colorlight {name[-2:]} with LFE5U-{size}F",
        family="ecp5",
        device=f"{size}k",
        package="CABGA381",
        speed="6",
        resources={25: ECP5_25F, 45: ECP5_45F}[size],
        oscillator_hz=25_000_000,
        clock_hz=50_000_000,
        pins={
            "clk": Pin("P3", False, _LEVEL),
            "rx": Pin("H18", False, {**_LEVEL, "PULLMODE": "UP"}),
            "tx": Pin("J17", False, _LEVEL),
            "active": Pin(led, True, _LEVEL),
        },
        programmer=open_fpga_loader("-b", f"colorlight-{name[-2:]}"),
        baud=1_000_000,
        usb_ids=_DAPLINK,
    )


BOARDS = (_board("colorlight_i5", 25, "U16"), _board("colorlight_i9", 45, "L2"))
