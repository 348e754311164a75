"""What the cycles that an operator takes for a frame come from."""

from __future__ import annotations

from typing import Any

from sqwire.hw.dot import Dot
from sqwire.hw.folded.engine import Folded
from sqwire.hw.folded.pool import Pool
from sqwire.hw.pace import Pace
from sqwire.hw.serialdot import SerialDot
from sqwire.hw.window import Window

from .narrow import cycles_of

__all__ = ["limits"]

# Cycles in which nothing is done are at most so few where a layer is busy.
_NEARLY = 0.97


def limits(spec: Any) -> tuple[int, str]:
    """Cycles a frame takes ``spec`` if it is not slowed to a rate, and what they come from.

    That is ``"products"``, ``"inputs"``, ``"outputs"``, ``"positions"``, ``"digits"``,
    ``"buffer"`` or ``"pace"``, see :class:`sqwire.compiler.layer.Layer`.
    """
    if isinstance(spec, Pace):
        return cycles_of(spec), "pace"
    if isinstance(spec, Folded | Pool):
        if spec.pace_cycles:
            spec = spec.timed(spec.slots, 0)
        work = {"inputs": spec.beats_in, "outputs": spec.beats_out}
        work["products"] = spec.raster.outputs * spec.run_cycles
        cycles, most = spec.interval_cycles, max(work, key=lambda name: work[name])
        return cycles, most if work[most] >= cycles * _NEARLY else "buffer"
    cycles = cycles_of(spec)
    if isinstance(spec, SerialDot):
        return cycles, "digits"
    if isinstance(spec, Dot | Window):
        return cycles, "positions"
    return cycles, "outputs" if spec.beats_out > spec.beats_in else "inputs"
