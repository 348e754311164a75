"""1BitSquared iCEBreaker: FT2232H, of which the second channel is the serial port."""

from __future__ import annotations

from amaranth_boards.icebreaker import ICEBreakerPlatform

from sqwire.boards.board import Board, pins_of

from .devices import UP5K
from .programmers import iceprog

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker with iCE40UP5K",
        family="ice40",
        device="up5k",
        package="sg48",
        speed="",
        resources=UP5K,
        oscillator_hz=12_000_000,
        clock_hz=18_000_000,
        pins=pins_of(
            ICEBreakerPlatform,
            clk=("clk12", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("led_g", 0),
            error=("led_r", 0),
            button=("button", 0),
        ),
        programmer=iceprog(),
        usb_ids=((0x0403, 0x6010),),
        ring_bytes=4100,  # 4 of 1 kB
        most_credits=4,
        pll_pad=True,
    ),
)
