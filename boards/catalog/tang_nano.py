"""Sipeed Tang Nano 9K: a BL702 acts as an FT2232, whose second channel is the serial port."""

from __future__ import annotations

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from sqwire.boards.board import Board, pins_of

from .devices import GW1NR_9
from .programmers import open_fpga_loader

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="tang_nano_9k",
        title="Sipeed Tang Nano 9K with GW1NR-9",
        family="gowin",
        device="GW1NR-LV9QN88PC6/I5",
        package="GW1N-9C",
        speed="6",
        resources=GW1NR_9,
        oscillator_hz=27_000_000,
        clock_hz=27_000_000,
        pins=pins_of(
            TangNano9kPlatform,
            clk=("clk27", 0),
            rx=("uart", 0, "rx"),
            tx=("uart", 0, "tx"),
            active=("led", 0),
            error=("led", 5),
            button=("button", 0),
        ),
        programmer=open_fpga_loader("-b", "tangnano9k", "--file-type", "fs"),
        baud=1_000_000,
        usb_ids=((0x0403, 0x6010),),
        ring_bytes=4096,
    ),
)
