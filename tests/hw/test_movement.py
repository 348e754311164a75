"""Operators that move data: each against its definition, under all stalls."""

import numpy as np
import pytest

from sqwire.hw.argmax import ArgMax
from sqwire.hw.beat import Beat
from sqwire.hw.concat import Concat
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace
from sqwire.hw.pad import Pad
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize
from sqwire.hw.select import Select
from sqwire.sim.check import check_operator

S4 = Range.signed(4)


def random(spec, frames=3, seed=0):
    rng = np.random.default_rng(seed)
    beat = spec.inputs[0]
    return rng.integers(beat.range.lo, beat.range.hi + 1, (frames, spec.beats_in, beat.lanes))


def image(spec, x):
    return x.reshape(len(x), spec.height, spec.width, -1)


def check(spec, x, want):
    want = np.asarray(want).reshape(len(x), spec.beats_out, -1)
    assert np.array_equal(spec.compute(x), want)
    check_operator(spec, x)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 8])
def test_argmax_is_the_first_or_last_of_the_largest(lanes, last):
    spec = ArgMax(Beat(Range(-2, 1), lanes), last, beats=8)
    x = random(spec)
    want = x.argmax(-1) if not last else lanes - 1 - x[..., ::-1].argmax(-1)
    check(spec, x, want)


def test_concat_puts_lanes_of_different_ranges_side_by_side():
    spec = Concat((Beat(Range.unsigned(2), 1), Beat(S4, 2), Beat(Range.unsigned(5), 1)), beats=6)
    rng = np.random.default_rng(1)
    parts = [
        rng.integers(beat.range.lo, beat.range.hi + 1, (2, 6, beat.lanes)) for beat in spec.inputs
    ]
    assert np.array_equal(spec.compute(*parts), np.concatenate(parts, axis=-1))
    check_operator(spec, *parts)


def test_select_repeats_and_reorders_lanes():
    spec = Select((Range.unsigned(3), S4, Range(0, 1)), (2, 0, 0, 1), beats=5)
    rng = np.random.default_rng(2)
    x = np.stack([rng.integers(r.lo, r.hi + 1, (3, 5)) for r in spec.ranges], axis=-1)
    check(spec, x, x[..., [2, 0, 0, 1]])


@pytest.mark.parametrize("edges", [(0, 0, 0, 0), (1, 0, 0, 2), (1, 2, 1, 1), (3, 0, 0, 0)])
def test_crop_cuts_the_edges(edges):
    spec = Crop(4, 5, Beat(S4, 2), edges)
    x = random(spec)
    top, left, bottom, right = edges
    check(spec, x, image(spec, x)[:, top : 4 - bottom, left : 5 - right])


@pytest.mark.parametrize(
    "padding, stride, code",
    [
        ((1, 1, 1, 1), (1, 1), 0),
        ((0, 2, 1, 0), (1, 1), -9),
        ((0, 0, 0, 0), (2, 3), 0),
        ((2, 1, 3, 0), (2, 1), 5),
    ],
)
def test_pad_surrounds_and_spreads(padding, stride, code):
    spec = Pad(3, 4, Beat(S4, 2), padding, stride, code)
    x = random(spec)
    want = np.full((len(x), spec.out_height, spec.out_width, 2), code)
    top, left, bottom, right = padding
    rows, columns = slice(top, spec.out_height - bottom), slice(left, spec.out_width - right)
    want[:, rows, columns][:, :: stride[0], :: stride[1]] = image(spec, x)
    check(spec, x, want)


@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (3, 1), (1, 3)])
@pytest.mark.parametrize("size", [(1, 1), (3, 4)])
def test_resize_repeats_positions(factor, size):
    spec = Resize(*size, Beat(S4, 2), factor)
    x = random(spec)
    check(spec, x, image(spec, x).repeat(factor[0], 1).repeat(factor[1], 2))


@pytest.mark.parametrize("size, block", [((1, 1), 2), ((2, 3), 2), ((2, 2), 3), ((3, 2), 1)])
def test_depth_to_space_lays_blocks_out(size, block):
    spec = DepthToSpace(*size, Beat(S4, 2 * block * block), block)
    x = random(spec)
    blocks = image(spec, x).reshape(len(x), *size, block, block, 2)
    check(spec, x, blocks.transpose(0, 1, 3, 2, 4, 5))


def test_sizes_that_make_no_sense_are_refused():
    beat = Beat(S4, 2)
    with pytest.raises(ValueError, match="must"):
        Resize(2, 2, beat, (0, 1))
    with pytest.raises(ValueError, match="must"):
        Crop(2, 2, beat, (1, 0, 1, 0))
    with pytest.raises(ValueError, match="must"):
        DepthToSpace(2, 2, beat, 2)
    with pytest.raises(ValueError, match="must"):
        Pad(2, 2, beat, (-1, 0, 0, 0))
    with pytest.raises(ValueError, match="must"):
        Select((S4,), (1,))
    with pytest.raises(ValueError, match="must"):
        Concat((beat,))
