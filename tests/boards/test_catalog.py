"""Boards as data."""

import re
from dataclasses import replace

import pytest

from sqwire.boards.board import Pin
from sqwire.boards.catalog import boards, find_board
from sqwire.boards.families import FAMILIES
from sqwire.boards.fit import top_for
from sqwire.boards.link.payloads import Format

ULX3S = find_board("ulx3s_85f")
EVERY = pytest.mark.parametrize("board", boards(), ids=lambda board: board.name)
FRAME = Format(8, 8, 1, 4, False)


def test_boards_are_sorted_and_all_there():
    assert [board.name for board in boards()] == [
        "colorlight_i5",
        "colorlight_i9",
        "ecpix5_85f",
        "hx8k",
        "icebreaker",
        "icesugar",
        "orangecrab_85f",
        "tang_nano_9k",
        "ulx3s_12f",
        "ulx3s_25f",
        "ulx3s_45f",
        "ulx3s_85f",
    ]


def test_an_unknown_board_is_refused_with_the_names_of_the_known():
    with pytest.raises(ValueError, match=r'^Board: it must be one of .*ulx3s_85f.*, not "ulx4s"$'):
        find_board("ulx4s")


@EVERY
def test_the_constraints_place_every_pin_once(board):
    text = FAMILIES[board.family].constraints(board)
    words = [re.findall(r"[\w]+", line) for line in text.splitlines()]
    for port, pin in board.pins.items():
        assert len([line for line in words if port in line and pin.site in line]) == 1


@EVERY
def test_every_board_has_an_activity_led_a_programmer_and_an_adapter(board):
    assert "active" in board.pins
    # The top level has one polarity for both lamps.
    assert board.pins.get("error", board.pins["active"]).invert == board.lit_low
    assert board.programmer.command and board.programmer.install
    assert board.usb_ids


@EVERY
def test_the_line_keeps_its_rate_at_the_boards_own_clock(board):
    top = top_for(board, ((FRAME,), (FRAME,)), "ab" * 32)
    assert top.link.uart.real_baud == pytest.approx(board.baud, rel=0.015)
    assert (top.pll is None) == (board.clock_hz == board.oscillator_hz)
    assert top.link.identity.clock_hz == board.clock_hz
    assert 10e-3 <= top.link.timeout_cycles / board.clock_hz <= 20e-3
    assert (top.link.identity.credits + 1) * 65 <= board.ring_bytes


@EVERY
def test_a_board_with_an_ftdi_chip_takes_three_megabaud(board):
    if board.usb_ids[0] in ((0x0403, 0x6015), (0x0403, 0x6010)) and board.name != "tang_nano_9k":
        assert board.baud >= 3_000_000


@EVERY
def test_the_top_level_has_the_pins_of_the_board(board):
    text = top_for(board, ((FRAME,), (FRAME,)), "ab" * 32).to_rtlil("sqwire_top")
    shell = text[text.index("module \\shell\n") :]
    for port in ("clk", "rx", "tx", "active", "error"):
        assert f" \\{port}\n" in shell
    assert (" \\button\n" in shell) == ("button" in board.pins)


def test_pins_come_from_amaranth_boards():
    assert ULX3S.pins["rx"] == Pin("M1", False, {"IO_TYPE": "LVCMOS33"})
    icebreaker = find_board("icebreaker").pins
    assert (icebreaker["clk"].site, icebreaker["tx"].site) == ("35", "9")
    assert icebreaker["active"].invert and icebreaker["button"].invert


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({"clk": Pin("A1"), "rx": Pin("A2")}, "it must have a pin for tx"),
        ({**ULX3S.pins, "beep": Pin("A1")}, "beep must be one of"),
        ({**ULX3S.pins, "tx": Pin("M1")}, "M1 must have one use, not two"),
    ],
)
def test_a_board_whose_pins_do_not_fit_is_refused(pins, message):
    with pytest.raises(ValueError, match=f'^Board "ulx3s_85f": {message}'):
        replace(ULX3S, pins=pins)
