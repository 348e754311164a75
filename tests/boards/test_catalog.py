"""Boards as data."""

from dataclasses import replace

import pytest

from sqwire.boards.catalog import boards, find_board
from sqwire.boards.shell import PINS_IN, PINS_OUT

ULX3S = find_board("ulx3s_85f")


def test_boards_are_sorted_and_hold_the_ulx3s():
    names = [board.name for board in boards()]
    assert names == sorted(names)
    assert "ulx3s_85f" in names


def test_an_unknown_board_is_refused_with_the_names_of_the_known():
    with pytest.raises(ValueError, match=r'^Board: it must be one of .*ulx3s_85f.*, not "ulx4s"$'):
        find_board("ulx4s")


@pytest.mark.parametrize("board", boards(), ids=lambda board: board.name)
def test_every_ball_has_one_use(board):
    balls = [board.clock_site, *board.header.values()]
    assert len(set(balls)) == len(balls)


@pytest.mark.parametrize("board", boards(), ids=lambda board: board.name)
def test_the_constraints_place_every_pin_of_the_shell_once(board):
    lines = board.constraints().splitlines()
    for port in ("clk", *PINS_IN, *PINS_OUT):
        assert sum(line.startswith(f'LOCATE COMP "{port}" ') for line in lines) == 1
        assert sum(line.startswith(f'IOBUF PORT "{port}" ') for line in lines) == 1


def test_ulx3s_headers_have_28_pairs():
    assert set(ULX3S.header) == {f"g{side}{k}" for side in "pn" for k in range(28)}


def test_a_pin_that_is_not_on_the_header_is_refused():
    with pytest.raises(ValueError, match='rst must be on the header, not "gp99"'):
        replace(ULX3S, shell={**ULX3S.shell, "rst": "gp99"})


def test_a_pin_with_two_uses_is_refused():
    with pytest.raises(ValueError, match='pin "gp1" must have one use, not two'):
        replace(ULX3S, shell={**ULX3S.shell, "rst": "gp1"})
