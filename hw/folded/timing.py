"""When beats of a folded layer come and go: counting, nothing is simulated."""

import numpy as np

from ..pace import not_before

__all__ = [
    "apart",
    "arrived_by",
    "departures",
    "latest",
    "needed_by",
    "slots_needed",
    "starts",
    "timeline",
]

_NEVER = 1 << 60


def timeline(spec, arrivals) -> tuple[list[int], list[int], list[int]]:
    """When input positions have come, output positions are started, and their results are freed."""
    beats, freed = spec.channel_beats, []
    buffers, last = spec.buffers, int(spec.issues[-1])

    def results(position, start):
        """A position waits for room; its results leave one beat a cycle, behind those before."""
        if buffers and position >= buffers:
            start = max(start, freed[position - buffers] + 1)
        end = start + last
        if position:
            end = max(end, freed[-1] + beats)
        freed.append(end)
        return start

    ended, started = starts(spec, arrivals, spec.program.cycles, results, spec.apart_cycles)
    return ended, started, freed


def departures(spec, arrivals) -> np.ndarray:
    """The cycle in which each output beat leaves, see :class:`sqwire.hw.folded.engine.Folded`."""
    _, started, freed = timeline(spec, arrivals)
    issues = np.array(started, dtype=np.int64)[:, None] + spec.issues
    behind = np.array([-1, *freed[:-1]], dtype=np.int64)[:, None] + 1
    behind = behind + np.arange(spec.channel_beats)
    return (np.maximum(issues, behind) + spec.collect_cycles).reshape(-1)


def starts(spec, arrivals, cycles, results=lambda _, start: start, pace=0):
    """Count when input positions have come and output positions, of ``cycles`` each, are started.

    ``results(position, start)`` may put a start off; ``pace`` is the least from start to start.

    Returns
    -------
    ended, started : list[int]
        The cycle in which the last beat of each input position is taken (as far as an output
        needs it), and that in which each output position is started.

    Raises
    ------
    ValueError
        If ``arrivals`` are no whole frames.
    """
    arrivals = np.asarray(arrivals, dtype=np.int64)
    if len(arrivals) % spec.beats_in or not len(arrivals):
        raise ValueError(
            f"Folded: arrivals must be whole frames of {spec.beats_in} beats, not {len(arrivals)}"
        )
    raster, slots, beats = spec.raster, spec.slots, spec.beats_position
    run, apart = cycles + spec.fetch_cycles + 1, max(cycles, pace)
    arrivals = arrivals.reshape(-1, beats)
    offsets = np.arange(len(arrivals) // raster.inputs)[:, None] * raster.inputs
    needs = (raster.needs + offsets).reshape(-1).tolist()
    bases = (raster.bases + offsets).reshape(-1).tolist()
    # Without a gap in it, a position's last beat comes so much later than its first.
    late = (arrivals - np.arange(beats)).max(axis=1).tolist()
    ended: list[int] = []  # when input positions have come
    started: list[int] = []
    before = -1
    finished = 0  # output positions that no longer stand in the way of the next input position
    for position, need in enumerate(needs):
        while len(ended) < need:
            q = len(ended)
            # Input position q takes the place of what lies `slots` before it.
            while finished < position and bases[finished] < q - slots + 1:
                finished += 1
            gate = started[finished - 1] + run if finished else 0
            before = max(late[q], before + 1, gate) + beats - 1
            ended.append(before)
        start = ended[need - 1] + 1
        if position:
            start = max(start, started[-1] + apart)
        started.append(results(position, start))
    return ended, started


def slots_needed(spec, arrivals) -> int:
    """How many positions the line buffer must hold for no beat to wait that arrives as said."""
    raster, beats = spec.raster, spec.beats_position
    arrivals = np.asarray(arrivals).reshape(-1, beats)
    frames = len(arrivals) // raster.inputs
    offsets = np.arange(frames)[:, None] * raster.inputs
    needs, bases = ((own + offsets).reshape(-1) for own in (raster.needs, raster.bases))
    # As in `starts`, but nothing waits for room.
    last = (arrivals - np.arange(beats)).max(axis=1) + beats - 1
    ended = not_before(last, beats * np.arange(len(last)))
    between = max(spec.run_cycles, spec.apart_cycles)
    started = not_before(ended[needs - 1] + 1, between * np.arange(len(needs)))
    freed = started + spec.run_cycles + spec.fetch_cycles + 1
    first = arrivals[:, 0]
    # Position q is written when those positions have ended that were freed before its first beat.
    over = np.searchsorted(freed, first, side="right")
    base = np.append(bases, frames * raster.inputs)[over]
    return int((np.arange(len(first)) - base).max()) + 1


def latest(spec, leaves) -> np.ndarray:
    """The latest cycles in which input beats may arrive so that output beats leave by ``leaves``.

    Holds as long as the line buffer has room: it says when beats are needed, not when they may
    come.
    """
    issued = apart(np.asarray(leaves, dtype=np.int64) - spec.collect_cycles)
    starts = (issued.reshape(-1, spec.channel_beats) - spec.issues).min(axis=1)
    starts = apart(starts, max(spec.program.cycles, spec.apart_cycles))
    return arrived_by(spec, starts)


def arrived_by(spec, starts) -> np.ndarray:
    """The latest cycles in which input beats may arrive so that positions start by ``starts``."""
    raster = spec.raster
    by = starts.reshape(-1, raster.outputs) - 1
    ended = needed_by(raster.needs, by, raster.inputs, spec.beats_position)
    return (ended[:, None] + np.arange(1 - spec.beats_position, 1)).reshape(-1)


def needed_by(needs, by, count, least=1) -> np.ndarray:
    """The latest cycles for ``count`` things a frame, of which ``needs[k]`` must be there for k.

    ``by`` are the cycles by which each k is to be done, (frames, k), and rise as ``needs`` do;
    things come ``least`` apart.
    """
    first = np.flatnonzero(np.diff(needs, prepend=0))
    result = by if len(first) == len(needs) else by[:, first]
    if len(first) < count:
        result = np.full((len(by), count), _NEVER)
        result[:, needs[first] - 1] = by[:, first]
    return apart(result.reshape(-1), least)


def apart(cycles, least=1):
    """The latest cycles no later than ``cycles``, each at least ``least`` before the next."""
    if (cycles[1:] - cycles[:-1] >= least).all():
        return cycles
    index = np.arange(len(cycles)) * least
    return np.minimum.accumulate((cycles - index)[::-1])[::-1] + index
