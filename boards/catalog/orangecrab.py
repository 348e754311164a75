"""OrangeCrab r0.2, https://orangecrab-fpga.github.io: no serial port on USB, so an adapter at the
header's pins 0 (receives) and 1 (sends), with 3.3 V levels."""

from __future__ import annotations

from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform as Platform

from sqwire.boards.board import Board, Pin, pins_of

from .devices import ECP5_85F
from .programmers import dfu_util

__all__ = ["BOARDS"]

_HEADER = Platform.connectors[0].mapping
_SERIAL = {"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"}

BOARDS = (
    Board(
        name="orangecrab_85f",
        title="OrangeCrab r0.2 with LFE5U-85F",
        family="ecp5",
        device="85k",
        package="CSFBGA285",
        speed="8",
        resources=ECP5_85F,
        oscillator_hz=48_000_000,
        clock_hz=48_000_000,
        pins=pins_of(
            Platform,
            clk=("clk", 0),
            active=("rgb_led", 0, "g"),
            error=("rgb_led", 0, "r"),
            button=("button", 0),
        )
        | {"rx": Pin(_HEADER["0"], False, _SERIAL), "tx": Pin(_HEADER["1"], False, _SERIAL)},
        programmer=dfu_util(),
        usb_ids=((0x0403, 0x6015), (0x0403, 0x6001)),
    ),
)
