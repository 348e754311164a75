import dataclasses

import numpy as np
import pytest

from sqwire.compiler.schedule import schedule
from sqwire.hw.folded.check import check

RNG = np.random.default_rng(0)
WEIGHT = np.where(RNG.random((8, 3, 3, 8)) < 0.3, RNG.integers(1, 8, (8, 3, 3, 8)), 0)


def changed(program, **changes):
    fields = {
        name: getattr(program, name).copy() for name in ("rotation", "tap", "local", "row", "value")
    }
    for name, change in changes.items():
        change(fields[name])
    return dataclasses.replace(program, **fields)


@pytest.fixture(scope="module")
def program():
    program = schedule(WEIGHT, 4, 4)
    check(program, WEIGHT)
    return program


def used(program):
    return tuple(np.argwhere(program.value != 0)[0])


def test_wrong_value_is_refused(program):
    def spoil(value):
        value[used(program)] += 1

    with pytest.raises(ValueError, match="is executed"):
        check(changed(program, value=spoil), WEIGHT)


def test_missing_product_is_refused(program):
    def spoil(value):
        value[used(program)] = 0

    with pytest.raises(ValueError, match="is executed"):
        check(changed(program, value=spoil), WEIGHT)


@pytest.mark.parametrize("field", ["tap", "local", "row"])
def test_wrong_place_is_refused(program, field):
    def spoil(array):
        place = used(program)
        array[place] = (array[place] + 1) % (array.max() + 1)

    with pytest.raises(ValueError, match="is executed|delta"):
        check(changed(program, **{field: spoil}), WEIGHT)


def test_two_halves_of_a_weight_are_no_product(program):
    weight = WEIGHT.copy()
    weight[tuple(np.argwhere(WEIGHT == 0)[0])] = 0
    digits = schedule(WEIGHT, 4, 4, in_digits=True)
    check(digits, WEIGHT, products=False)
    with pytest.raises(ValueError, match="times"):
        check(digits, WEIGHT)


def test_row_that_is_never_written_is_refused(program):
    weight = WEIGHT.copy()
    weight[3] = 0
    program = schedule(weight, 4, 4)
    check(program, weight)
    layout = program.layout
    lane, row = layout.lane[0, 3], layout.row[3]
    other = (row + 1) % layout.rows

    def spoil(array):
        array[(array[:, lane] == row) & (program.value[:, lane] == 0), lane] = other

    with pytest.raises(ValueError, match="must be written|delta"):
        check(changed(program, row=spoil), weight)


def test_other_weights_are_refused(program):
    with pytest.raises(ValueError, match="is executed"):
        check(program, np.roll(WEIGHT, 1, axis=0))


@pytest.fixture(scope="module")
def split():
    program = schedule(WEIGHT, 4, 4, parts=4, by_input=True)
    check(program, WEIGHT)
    return program


@pytest.mark.parametrize("field", ["value", "tap", "local"])
def test_wrong_product_of_a_split_program_is_refused(split, field):
    def spoil(array):
        place = used(split)
        array[place] = (array[place] + 1) % (array.max() + 1)

    with pytest.raises(ValueError, match="is executed|rise"):
        check(changed(split, **{field: spoil}), WEIGHT)


def test_split_program_must_go_from_row_to_row(split):
    with pytest.raises(ValueError, match="go from row to row"):
        changed(split, row=lambda row: row.__setitem__((0, 0), 7))


def test_output_that_no_lane_has_is_refused(split):
    weight = WEIGHT.copy()
    weight[7] = 0

    def spoil(array):
        array[split.row == 7] = 0

    def before(row):
        row[row == 7] = 6

    with pytest.raises(ValueError, match="row 7 must be in some lane"):
        check(changed(split, value=spoil, row=before), weight)
