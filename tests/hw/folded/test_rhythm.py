"""The cycles from frame to frame are those of whole frames, though fewer rows are counted."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.folded import rhythm, timing
from sqwire.hw.folded.raster import Raster


@dataclass(frozen=True)
class Layer:
    """What counting asks of a layer."""

    raster: Raster
    slots: int
    cycles: int
    buffers: int
    beats_position: int
    channel_beats: int
    apart_cycles: int
    fetch_cycles: int = 2
    first_cycles: int = 9

    @property
    def issues(self):
        return self.first_cycles + np.arange(self.channel_beats)

    @property
    def program(self):
        return SimpleNamespace(cycles=self.cycles)

    @property
    def run_cycles(self):
        return self.cycles

    @property
    def beats_in(self):
        return self.raster.inputs * self.beats_position

    def timeline(self, arrivals):
        return timing.timeline(self, arrivals)


@st.composite
def layers(draw):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    height, width = draw(st.integers(40, 120)), draw(st.integers(3, 9))
    try:
        raster = Raster(height, width, kernel, stride, padding)
    except ValueError:
        raster = Raster(height, width, kernel, stride)
    slots = raster.reach + draw(st.integers(0, 80))
    # Where no results wait for room, the next start waits for those before.
    buffers, channel_beats = draw(st.integers(0, 2)), draw(st.integers(1, 6))
    apart = draw(st.integers(0 if buffers else channel_beats, 12))
    cycles, beats_position = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    return Layer(raster, slots, cycles, buffers, beats_position, channel_beats, apart)


@settings(max_examples=300, deadline=None)
@given(layers())
def test_frames_cut_down_tell_what_whole_ones_take(layer):
    assert rhythm._interval(layer) == rhythm._last_frame(rhythm._count(layer)[2])


def test_of_a_tall_frame_few_rows_are_counted(monkeypatch):
    layer = Layer(Raster(4000, 8, (3, 3), padding=(1, 1, 1, 1)), 64, 9, 2, 2, 4, 0)
    counted = []
    count = rhythm._count
    monkeypatch.setattr(rhythm, "_count", lambda s: counted.append(s.raster.height) or count(s))
    assert rhythm._interval(layer) == 4000 * 8 * 9
    assert sum(counted) < 100


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_each_thing_is_needed_by_the_first_that_waits_for_it(data):
    count, frames, least = (data.draw(st.integers(1, 6)) for _ in range(3))
    needs = np.array(sorted(data.draw(st.lists(st.integers(1, count), min_size=1, max_size=8))))
    size = frames * len(needs)
    gaps = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    by = np.cumsum(gaps).reshape(frames, -1)
    wanted = np.full(frames * count, 1 << 60)
    for frame in range(frames):
        for need, cycle in zip(needs, by[frame], strict=True):
            place = frame * count + need - 1
            wanted[place] = min(wanted[place], cycle)
    for place in reversed(range(len(wanted) - 1)):
        wanted[place] = min(wanted[place], wanted[place + 1] - least)
    assert np.array_equal(timing.needed_by(needs, by, count, least), wanted)


@settings(max_examples=200, deadline=None)
@given(layers(), st.integers(1, 30), st.integers(0, 1 << 30))
def test_with_the_slots_that_are_needed_no_beat_waits(layer, longest, seed):
    gaps = np.random.default_rng(seed).integers(1, longest + 1, 2 * layer.beats_in)
    arrivals = np.cumsum(gaps)
    needed = max(timing.slots_needed(layer, arrivals), layer.raster.reach)

    def ended(slots):
        own = replace(layer, slots=slots)
        return timing.starts(own, arrivals, own.cycles, pace=own.apart_cycles)[0]

    free = ended(1 << 30)
    assert ended(needed) == free
    if layer.beats_position == 1 and layer.raster.stride == (1, 1) and needed > layer.raster.reach:
        assert ended(needed - 1) != free
