"""The first difference is named by layer, frame, position and channel."""

import numpy as np
import pytest

from sqwire.sim.compare import first_difference

WANT = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def test_equal_tensors_do_not_differ():
    assert first_difference("conv1", WANT.copy(), WANT) is None


def test_first_difference_is_named_with_row_and_column():
    got = WANT.copy()
    got[1, 2, 0, 3] = -1
    got[1, 1, 3, 4] = -2
    difference = first_difference("conv1", got, WANT)
    assert str(difference) == (
        'Layer "conv1", frame 1, row 1, column 3, channel 4: -2, must be 99 '
        "(2 integers differ in all)"
    )


def test_position_is_named_where_no_width_is_known():
    got = WANT.reshape(2, 12, 5).copy()
    got[0, 7, 2] += 1
    difference = first_difference("fc", got, WANT.reshape(2, 12, 5))
    assert str(difference) == 'Layer "fc", frame 0, position 7, channel 2: 38, must be 37'


def test_transfers_are_compared_as_far_as_they_go_and_the_rest_is_missing():
    transfers = WANT.reshape(-1, 5)
    assert first_difference("pool1", transfers, WANT) is None
    difference = first_difference("pool1", transfers[:13], WANT)
    assert (difference.frame, difference.position, difference.got) == (1, 1, None)
    assert str(difference) == (
        'Layer "pool1", frame 1, row 0, column 1, channel 0: missing, must be 65'
    )


@pytest.mark.parametrize("got", [WANT[:, :, :, :4], np.concatenate([WANT, WANT])])
def test_tensor_that_cannot_be_compared_is_refused(got):
    with pytest.raises(ValueError, match="must be at most 24 positions of 5 channels"):
        first_difference("conv1", got, WANT)
