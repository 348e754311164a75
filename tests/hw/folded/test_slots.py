"""Line buffers of as many positions as needed, where a power of two would take more block RAMs."""

import numpy as np
import pytest

from sqwire.compiler.schedule import schedule
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.pool import Pool
from sqwire.hw.folded.slots import enough_slots
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

SLOTS = (3, 5, 6, 7, 10, 12, 14, 20, 24)

LAYERS = [
    ((3, 3), (4, 3), {"padding": (1, 1, 1, 1)}),
    ((3, 3), (5, 4), {"stride": (2, 2), "padding": (1, 1, 1, 1)}),
    ((2, 2), (5, 3), {"dilation": (2, 2), "padding": (1, 1, 1, 1)}),
    ((1, 1), (4, 3), {"stride": (3, 2)}),
    ((1, 1), (1, 1), {}),
]


def holds(spec, frames=2):
    """Right under all stalls, and every beat when it is said to come."""
    shape = (frames, spec.beats_in, spec.inputs[0].lanes)
    x = np.random.default_rng(0).integers(spec.range.lo, spec.range.hi + 1, shape)
    timing = check_operator(spec, x)
    arrivals = np.zeros(len(x) * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()


def layer(kernel, size, channels=4, slots=0, **options):
    w = np.random.default_rng(1).integers(-3, 4, (4, *kernel, channels))
    split = options.pop("by_input", False)
    parts = {"parts": 4, "by_input": True} if split else {}
    return Folded(*size, Range.unsigned(3), w, schedule(w, 4, 4, **parts), slots=slots, **options)


@pytest.mark.parametrize(("kernel", "size", "options"), LAYERS)
@pytest.mark.parametrize("by_input", [False, True])
def test_layer_with_any_number_of_slots(kernel, size, options, by_input):
    reach = layer(kernel, size, **options).raster.reach
    slots = next(n for n in SLOTS if n >= reach)
    holds(layer(kernel, size, slots=slots, by_input=by_input, **options))


@pytest.mark.parametrize(("kernel", "size", "options"), LAYERS)
def test_pool_with_any_number_of_slots(kernel, size, options):
    reach = Pool(*size, 2, Range.unsigned(2), kernel, **options).raster.reach
    slots = next(n for n in SLOTS if n >= reach)
    holds(Pool(*size, 2, Range.unsigned(2), kernel, slots=slots, **options))


def wide(stride, width):
    """Its rows need a little more than a power of two."""
    return layer((3, 3), (8, width), 256, stride=(stride, stride), padding=(1, 1, 1, 1))


def test_fewer_slots_where_they_save_block_rams():
    spec = wide(1, 258)
    assert spec.raster.reach < spec.slots < 1024
    assert spec.bank_store.blocks < spec.timed(1024, 0).bank_store.blocks
    assert enough_slots(spec, spec.slots + 1) > spec.slots


def test_a_power_of_two_where_nothing_is_saved():
    assert layer((3, 3), (8, 9), padding=(1, 1, 1, 1)).slots == 32


def test_a_power_of_two_where_lut_rams_would_take_as_much_as_is_saved():
    w = np.random.default_rng(0).integers(-3, 4, (8, 3, 3, 64))
    spec = Folded(16, 16, Range.unsigned(4), w, schedule(w, 8, 8), padding=(1, 1, 1, 1))
    assert spec.slots == 64 and spec.bank_store.kind == "block"


def test_fewer_slots_cost_a_strided_layer_no_time():
    spec = wide(2, 380)
    most = 1 << (spec.slots - 1).bit_length()
    assert spec.slots < most
    assert spec.interval_cycles == spec.timed(most, 0).interval_cycles


@pytest.mark.parametrize(("channels", "slots"), [(12, 8), (12, 6), (9, 8)])
@pytest.mark.parametrize("by_input", [False, True])
def test_banks_of_any_number_of_channels(channels, slots, by_input):
    holds(layer((2, 2), (3, 3), channels, slots=slots, by_input=by_input))


def test_idle_lanes_with_inputs_of_their_own_read_no_words_that_there_are_not():
    rng = np.random.default_rng(0)
    w = rng.integers(1, 4, (8, 1, 2, 68)) * (rng.random((8, 1, 2, 68)) < 0.3)
    program = schedule(w, 4, 4, parts=4, by_input=True)
    spec = Folded(2, 3, Range.unsigned(3), w, program, slots=4)
    assert program.local.max() >= program.layout.locals
    assert program.local.max() * spec.slots < spec.bank_store.depth
    holds(spec)


def test_a_bank_of_ten_channels_has_no_room_for_sixteen():
    spec = layer((3, 3), (8, 258), 40, slots=1024)
    assert spec.program.layout.locals == 10 and spec.bank_store.depth == 10 * 1024
