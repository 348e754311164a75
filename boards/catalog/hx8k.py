"""Lattice iCE40-HX8K breakout board: FT2232H, of which the second channel is the serial port."""

from __future__ import annotations

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from sqwire.boards.board import Board, pins_of

from .devices import HX8K
from .programmers import iceprog

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="hx8k",
        title="Lattice iCE40-HX8K breakout board",
        family="ice40",
        device="hx8k",
        package="ct256",
        speed="",
        resources=HX8K,
        oscillator_hz=12_000_000,
        clock_hz=36_000_000,
        pins=pins_of(
            ICE40HX8KBEVNPlatform,
            clk=("clk12", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("led", 0),
            error=("led", 7),
        ),
        programmer=iceprog("-S"),
        usb_ids=((0x0403, 0x6010),),
        ring_bytes=4100,  # 4 of 1 kB
        most_credits=4,
    ),
)
