"""Muse Lab iCESugar: iCELink as serial port and programmer."""

from __future__ import annotations

from amaranth_boards.icesugar import ICESugarPlatform

from sqwire.boards.board import Board, pins_of

from .devices import UP5K
from .programmers import icesprog

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="icesugar",
        title="Muse Lab iCESugar with iCE40UP5K",
        family="ice40",
        device="up5k",
        package="sg48",
        speed="",
        resources=UP5K,
        oscillator_hz=12_000_000,
        clock_hz=18_000_000,
        pins=pins_of(
            ICESugarPlatform,
            clk=("clk12", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("led_g", 0),
            error=("led_r", 0),
        ),
        programmer=icesprog(),
        baud=115_200,
        usb_ids=((0x1D50, 0x602B),),
        ring_bytes=4100,  # 4 of 1 kB
        most_credits=4,
        pll_pad=True,
    ),
)
