"""The fastest clocks of boards."""

import pytest

from sqwire.boards.catalog import boards, find_board
from sqwire.boards.families import FAMILIES
from sqwire.boards.pll import PllError
from sqwire.boards.speeds import memory_hz, pll_hz


@pytest.mark.parametrize("board", boards(), ids=lambda board: board.name)
def test_the_clock_of_every_board_is_one_it_can_do(board):
    assert board.clock_hz <= memory_hz(board) <= pll_hz(board)


@pytest.mark.parametrize("name", ["ulx3s_85f", "tang_nano_9k"])
def test_no_pll_makes_a_faster_clock(name):
    board = find_board(name)
    most = int(pll_hz(board))
    with pytest.raises(PllError):
        FAMILIES[board.family].pll(board, most + board.oscillator_hz)


def test_block_rams_of_a_faster_grade_are_faster():
    assert memory_hz(find_board("ulx3s_85f")) < memory_hz(find_board("orangecrab_85f"))
