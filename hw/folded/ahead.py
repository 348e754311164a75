"""How far lanes of a split program run ahead of each other, and when outputs are complete."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Ahead", "ahead"]

# Positions one after the other until what waits is the same in each.
_SETTLE = 4
# A lane that has run as far ahead as it may goes on for a while: from a part that is queued to the
# counter of the program, and from there (``compute_cycles``) to the next part.
_STOP_CYCLES = 2


@dataclass(frozen=True)
class Ahead:
    """``ends[o]`` is the first cycle of the program after which all parts of output ``o`` are
    known, at most one output a cycle. ``most`` is how many parts of a lane wait at most where
    nothing holds up the outputs; ``depth`` of a queue with room for what is still under way when
    lanes are stopped at ``most + 1``.
    """

    ends: np.ndarray
    most: int
    depth: int


def ahead(program, position_cycles: int, compute_cycles: int) -> Ahead:
    """What a split ``program`` of which positions begin every ``position_cycles`` needs."""
    cycle = np.arange(program.cycles)[:, None]
    when = np.full(program.shown.shape, -1)
    when[program.row, np.arange(program.layout.lanes)] = cycle  # the last one stays
    ends = _one_a_cycle(when.max(axis=1))

    ended = [np.flatnonzero(lane) for lane in program.ends.T]
    outputs = [np.flatnonzero(lane) for lane in program.shown.T]
    starts = np.arange(_SETTLE)[:, None] * position_cycles
    leaves = _one_a_cycle((starts + ends).reshape(-1)).reshape(_SETTLE, -1)
    most = window = 0
    for own, rows in zip(ended, outputs, strict=True):
        come = (starts + own).reshape(-1)
        gone = leaves[:, rows].reshape(-1)
        # A part that comes in a cycle counts from the next one on, and leaves no earlier.
        waiting = np.arange(1, len(come) + 1) - np.searchsorted(gone, come, side="left")
        most = max(most, int(waiting.max()))
        late = np.searchsorted(come, come + compute_cycles + _STOP_CYCLES, side="right")
        window = max(window, int((late - np.arange(len(come))).max()))
    return Ahead(ends, most, max(16, 1 << (most + window).bit_length()))


def _one_a_cycle(cycles):
    """Each no earlier than ``cycles``, and later than the one before."""
    index = np.arange(len(cycles))
    return np.maximum.accumulate(cycles - index) + index
