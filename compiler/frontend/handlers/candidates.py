"""The few positions of a map that are worth looking at, as a detector's output."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ... import ops
from ...errors import CompileError
from .. import place
from ..context import Call
from ..functions import Affine, Function
from ..layout import Layout
from ..values import Real, Value

__all__ = ["candidates"]


def candidates(call: Call) -> Value:
    """A Candidates.

    count, channels, thresholds. Each channel has its own scale, above 0 where it has a threshold,
    and no offset.
    """
    count, channels = call.integer("count"), call.ints("channels")
    limits = call.numbers("thresholds")
    real = place.zero_based(call, place.raster(call, call.real()))
    if len(real.shape) != 4:
        raise CompileError(f"input must have four axes, not shape {real.shape}")
    step: Any = real.function.affine
    own = real.shape[1]
    gains = tuple(step.gain) if len(step.gain) == own else tuple(step.gain) * own
    if not all(0 <= c < own for c in channels):
        raise CompileError(f"channels must be 0 to {own - 1}, not {list(channels)}")
    if any(gains[c] <= 0 for c in channels):
        raise CompileError(
            "the scale of a channel with a threshold must be above 0, not "
            f"{[str(gains[c]) for c in channels]}"
        )
    if len(limits) != len(channels):
        raise CompileError(
            f"thresholds must be as many as channels ({len(channels)}), not {len(limits)}"
        )
    # A code is at least this where its value reaches the threshold.
    pairs = zip(channels, limits, strict=True)
    codes = tuple(math.ceil(limit / gains[c]) for c, limit in pairs)
    try:
        op = ops.Candidates(count, channels, codes)
        node = call.context.add(call.name, op, real.node)
    except ValueError as error:
        raise CompileError(str(error)) from error
    function = Function((Affine((Fraction(1), *gains), (Fraction(0),) * (1 + own)),))
    layout = Layout((1, 1 + own, 1, count), (1, count, 1 + own), by=call.name)
    return Real(node, function, layout)
