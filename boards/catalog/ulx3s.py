"""Radiona ULX3S, https://radiona.org/ulx3s: FT231X as serial port and programmer."""

from __future__ import annotations

from amaranth_boards import ulx3s

from sqwire.boards.board import Board, pins_of

from .devices import ECP5_25F, ECP5_45F, ECP5_85F
from .programmers import open_fpga_loader

__all__ = ["BOARDS"]

BOARDS = tuple(
    Board(
        name=f"ulx3s_{size}f",
        title=f"Radiona ULX3S with LFE5U-{size}F",
        family="ecp5",
        device=f"{size}k",
        package="CABGA381",
        speed="6",
        resources=resources,
        oscillator_hz=25_000_000,
        clock_hz=50_000_000,
        pins=pins_of(
            getattr(ulx3s, f"ULX3S_{size}F_Platform"),
            clk=("clk25", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("led", 0),
            error=("led", 7),
            button=("button_fire", 0),
        ),
        programmer=open_fpga_loader("-b", "ulx3s"),
        usb_ids=((0x0403, 0x6015),),
    )
    for size, resources in ((12, ECP5_25F), (25, ECP5_25F), (45, ECP5_45F), (85, ECP5_85F))
)
