"""How many cycles lie between frames that follow each other as fast as they are taken."""

from dataclasses import replace

import numpy as np

__all__ = ["interval_cycles"]

_SETTLE_FRAMES = 3
# Above and below those that are compared.
_MORE_ROWS = 6


def interval_cycles(spec) -> int:
    """Cycles from frame to frame where input is always there.

    Specs of one ``rhythm`` have the same one, so it is counted once for all of them.
    """
    key = type(spec), spec.rhythm
    if key not in _known:
        _known[key] = _interval(spec)
    return _known[key]


_known: dict[tuple, int] = {}


def _interval(spec):
    """Count frames with fewer rows where that tells what whole frames take, else whole ones.

    What happens in a row follows from what lies no further back than the line buffer and the
    finished positions reach. Where so many rows are each like the one before but for a delay, all
    rows that could be put in behind them are too, and what comes then comes so much later.
    """
    raster = spec.raster
    row = raster.stride[0] * raster.width
    far = -(-(spec.slots + raster.reach) // row) + -(-spec.buffers // raster.out_width) + 1
    rows = 3 * far + _MORE_ROWS
    while rows < raster.out_height:
        short = _Shorter(spec, raster.out_height - rows)
        ended, started, freed = _count(short)
        first = (rows - far) // 2 * raster.out_width
        outputs = slice(first, first + (far + 1) * raster.out_width)
        inputs = slice(short.raster.needs[first], short.raster.needs[first] + (far + 1) * row)
        delays = {
            *_delays(ended[-1, inputs], row),
            *_delays(started[-1, outputs], raster.out_width),
            *_delays(freed[-1, outputs], raster.out_width),
        }
        if len(delays) == 1:
            return _last_frame(freed) + short.fewer * delays.pop()
        rows *= 2
    return _last_frame(_count(spec)[2])


def _count(spec):
    """The timeline of as many frames as it takes to settle, each (frames, positions)."""
    raster = spec.raster
    # Until the line buffer and the finished positions that wait are full.
    held = spec.slots + spec.buffers * -(-raster.inputs // raster.outputs)
    frames = _SETTLE_FRAMES + -(-held // raster.inputs)
    ended, started, freed = spec.timeline(np.zeros(frames * spec.beats_in, np.int64))
    # Positions that nothing needs are left out at the very end.
    ended = np.pad(ended, (0, frames * raster.inputs - len(ended)), mode="edge")
    return [np.reshape(cycles, (frames, -1)) for cycles in (ended, started, freed)]


def _delays(cycles, row):
    return np.unique(cycles[row:] - cycles[:-row]).tolist()


def _last_frame(freed):
    return int(freed[-1, -1] - freed[-2, -1])


class _Shorter:
    """A layer on frames of ``fewer`` output rows less."""

    def __init__(self, spec, fewer):
        raster = spec.raster
        self._spec, self.fewer = spec, fewer
        self.raster = replace(raster, height=raster.height - fewer * raster.stride[0])
        self.beats_in = self.raster.inputs * spec.beats_position
        self.timeline = type(spec).timeline.__get__(self)

    def __getattr__(self, name):
        return getattr(self._spec, name)
