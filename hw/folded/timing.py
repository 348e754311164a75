"""When beats of a folded layer come and go: counting, nothing is simulated."""

import numpy as np

__all__ = ["departures", "interval_cycles", "set_slots", "starts"]

_SETTLE_FRAMES = 3
# From a beat that completes a position to the room that comes when a position has used it.
_ROUND_CYCLES = 6
_GAIN = 1.01


def set_slots(spec, name) -> None:
    """Give ``spec`` as many slots as it needs, unless it has some; refuse too few.

    At least as many as one position needs and the next one's beats. Where outputs do not follow
    each other evenly (strides, no padding), twice as many as long as frames gain a percent by it:
    input goes on while no output can be started.

    Raises
    ------
    ValueError
        If ``slots`` is no power of two or less than one position needs.
    """
    raster, beats, cycles = spec.raster, spec.beats_position, spec.position_cycles
    if spec.slots:
        if spec.slots & (spec.slots - 1) or spec.slots < raster.reach:
            raise ValueError(
                f"{name}: slots must be a power of two of at least {raster.reach}, not {spec.slots}"
            )
        return
    more = -(-(beats + _ROUND_CYCLES) // max(cycles, beats))
    slots = 1 << (raster.reach + more - 1).bit_length()
    object.__setattr__(spec, "slots", slots)
    if len(set(raster.steps)) == 1:
        return
    best, ideal = interval_cycles(spec), max(raster.inputs * beats, raster.outputs * cycles)
    while best > ideal * _GAIN and slots < 2 * raster.inputs:
        object.__setattr__(spec, "slots", 2 * slots)
        interval = interval_cycles(spec)
        if best < interval * _GAIN:
            object.__setattr__(spec, "slots", slots)
            return
        slots, best = 2 * slots, interval


def departures(spec, arrivals) -> np.ndarray:
    """The cycle in which each output beat leaves, see :class:`sqwire.hw.folded.engine.Folded`."""
    beats, freed = spec.channel_beats, []

    def results(position, start):
        """A position waits for room; its results leave one beat a cycle, behind those before."""
        if position >= spec.buffers:
            start = max(start, freed[position - spec.buffers] + 1)
        issue = start + spec.first_cycles
        if position:
            issue = max(issue, freed[-1] + 1)
        freed.append(issue + beats - 1)
        return start

    starts(spec, arrivals, spec.program.cycles, results)
    last = np.array(freed, dtype=np.int64)[:, None]
    return (last + np.arange(1 - beats, 1) + spec.collect_cycles).reshape(-1)


def starts(spec, arrivals, cycles, results=lambda _, start: start) -> list[int]:
    """The cycle in which each output position, which runs for ``cycles``, is started.

    ``results(position, start)`` may put a start off.

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
            gate = started[finished - 1] + cycles + spec.fetch_cycles + 1 if finished else 0
            before = max(late[q], before + 1, gate) + beats - 1
            ended.append(before)
        start = ended[need - 1] + 1
        if position:
            start = max(start, started[-1] + cycles)
        started.append(results(position, start))
    return started


def interval_cycles(spec) -> int:
    """Cycles from frame to frame where input is always there."""
    frames = _SETTLE_FRAMES + -(-spec.slots // spec.raster.inputs) + spec.buffers
    last = spec.departures(np.zeros(frames * spec.beats_in, np.int64)).reshape(frames, -1)[:, -1]
    return int(last[-1] - last[-2])
