"""When beats of a folded layer come and go: counting, nothing is simulated."""

import numpy as np

from .walk import Walk

__all__ = ["departures", "interval_cycles", "latest"]

_SETTLE_FRAMES = 3
_NEVER = 1 << 60


def departures(spec, arrivals) -> np.ndarray:
    """The cycle in which each output beat leaves, see :class:`sqwire.hw.folded.engine.Folded`."""
    arrivals = np.asarray(arrivals, dtype=np.int64)
    if len(arrivals) % spec.beats_in or not len(arrivals):
        raise ValueError(
            f"Folded: arrivals must be whole frames of {spec.beats_in} beats, not {len(arrivals)}"
        )
    starts = _starts(spec, arrivals.reshape(-1, spec.beats_position))
    beats = spec.channel_beats
    # The collector takes a beat a cycle, one position after the other.
    ready = starts + spec.first_cycles
    index = np.arange(len(ready)) * beats
    first = np.maximum.accumulate(ready - index) + index
    return (first[:, None] + np.arange(beats) + spec.collect_cycles).reshape(-1)


def _starts(spec, arrivals):
    """The cycle in which each output position is started."""
    raster, slots = spec.raster, spec.slots
    positions, beats = arrivals.shape
    frames = positions // raster.inputs
    offsets = np.arange(frames)[:, None] * raster.inputs
    needs = (raster.needs + offsets).reshape(-1).tolist()
    bases = (raster.bases + offsets).reshape(-1).tolist()
    # Without a gap in it, a position's last beat comes so much later than its first.
    late = (arrivals - np.arange(beats)).max(axis=1).tolist()
    cycles, channel_beats, buffers = spec.program.cycles, spec.channel_beats, spec.buffers
    ended, done = [], []  # when input positions have come, and output positions are started
    freed = []  # when the last beat of output positions is issued
    before = -1
    finished = 0  # output positions that no longer stand in the way of the next input position
    for position, need in enumerate(needs):
        while len(ended) < need:
            q = len(ended)
            # Input position q takes the place of what lies `slots` before it.
            while finished < position and bases[finished] < q - slots + 1:
                finished += 1
            gate = done[finished - 1] + cycles + Walk.READ + 1 if finished else 0
            before = max(late[q], before + 1, gate) + beats - 1
            ended.append(before)
        start = ended[need - 1] + 1
        if position:
            start = max(start, done[-1] + cycles)
        if position >= buffers:
            start = max(start, freed[position - buffers] + 1)
        done.append(start)
        issue = start + spec.first_cycles
        if position:
            issue = max(issue, freed[-1] + 1)
        freed.append(issue + channel_beats - 1)
    return np.array(done, dtype=np.int64)


def latest(spec, leaves) -> np.ndarray:
    """The latest cycles in which input beats may arrive so that output beats leave by ``leaves``.

    Holds as long as the line buffer has room: it says when beats are needed, not when they may
    come.
    """
    beats, wanted = spec.channel_beats, np.asarray(leaves, dtype=np.int64)
    issued = wanted.reshape(-1, beats) - np.arange(beats) - spec.collect_cycles
    issued = _apart(issued.min(axis=1), beats)
    starts = _apart(issued - spec.first_cycles, spec.program.cycles)
    frames = len(wanted) // spec.beats_out
    offsets = np.arange(frames)[:, None] * spec.raster.inputs
    ended = np.full(frames * spec.raster.inputs, _NEVER)
    np.minimum.at(ended, (spec.raster.needs + offsets).reshape(-1) - 1, starts - 1)
    ended = _apart(ended, spec.beats_position)
    return (ended[:, None] + np.arange(1 - spec.beats_position, 1)).reshape(-1)


def _apart(cycles, least):
    """The latest cycles no later than ``cycles``, each at least ``least`` before the next."""
    index = np.arange(len(cycles)) * least
    return np.minimum.accumulate((cycles - index)[::-1])[::-1] + index


def interval_cycles(spec) -> int:
    """Cycles from frame to frame where input is always there."""
    frames = _SETTLE_FRAMES + -(-spec.slots // spec.raster.inputs) + spec.buffers
    last = departures(spec, np.zeros(frames * spec.beats_in, np.int64)).reshape(frames, -1)[:, -1]
    return int(last[-1] - last[-2])
