"""What the cost model counts, against a count of what is there."""

import pytest

from sqwire.compiler.sites import Delay, compared_bits, sums, table_luts


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_bits_below_the_lowest_one_of_a_limit_do_not_matter(bits):
    for limit in range(1, 1 << bits):
        matter = compared_bits(bits, limit)
        below = bits - matter
        for number in range(1 << bits):
            assert (number >= limit) == (number >> below >= limit >> below if matter else
                                         number >> (limit.bit_length() - 1) > 0)  # fmt: skip


def test_sums_of_five_bits_or_more_are_carry_cells_of_two():
    assert sums([4, 5, 6, 0]) == {"sites": 12, "narrow_bits": 4}


@pytest.mark.parametrize(("bits", "luts"), [(0, 0), (1, 1), (4, 1), (5, 3), (6, 7)])
def test_a_table_of_more_than_four_bits_is_halved_and_chosen_from(bits, luts):
    assert table_luts(bits) == luts


def test_a_delay_has_flip_flops_but_in_a_block_ram():
    assert (Delay(3, 8).registers, Delay(3, 8).pointer_bits) == (24, 0)
    assert (Delay(9, 8).registers, Delay(9, 8).pointer_bits) == (8, 4)
    assert (Delay(500, 8).registers, Delay(500, 8).pointer_bits) == (0, 9)
