"""LambdaConcept ECPIX-5: FT2232H, of which the second channel is the serial port."""

from __future__ import annotations

from amaranth_boards.ecpix5 import ECPIX585Platform

from sqwire.boards.board import Board, pins_of

from .devices import ECP5_85F
from .programmers import open_fpga_loader

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="ecpix5_85f",
        title="LambdaConcept ECPIX-5 with LFE5UM5G-85F",
        family="ecp5",
        device="um5g-85k",
        package="CABGA554",
        speed="8",
        resources=ECP5_85F,
        oscillator_hz=100_000_000,
        clock_hz=50_000_000,
        pins=pins_of(
            ECPIX585Platform,
            clk=("clk100", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("rgb_led", 0, "g"),
            error=("rgb_led", 1, "r"),
            button=("rst", 0),
        ),
        programmer=open_fpga_loader("-b", "ecpix5"),
        usb_ids=((0x0403, 0x6010),),
    ),
)
