"""Select: some lanes of a stream, in any order, any number of times."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .ranges import Range

__all__ = ["Select"]


@dataclass(frozen=True)
class Select:
    """``o[m, k] = i[m, channels[k]]``: a slice, a split, a permutation or copies of lanes.

    Shapes: in ``(beats, len(ranges))``, out ``(beats, len(channels))``. ``ranges`` is what each
    input lane can be; the output range holds those of the lanes that are chosen.

    Timing: wires. No latency, one beat a cycle.

    Raises
    ------
    ValueError
        If no lane is chosen, one that does not exist is, or ``beats`` is below one.
    """

    ranges: tuple[Range, ...]
    channels: tuple[int, ...]
    beats: int = 1

    def __post_init__(self):
        if not self.channels:
            raise ValueError("Select: channels must be at least one, not none")
        wrong = [c for c in self.channels if not 0 <= c < len(self.ranges)]
        if wrong:
            raise ValueError(
                f"Select: channels must be from 0 to {len(self.ranges) - 1}, not {wrong[0]}"
            )
        if self.beats < 1:
            raise ValueError(f"Select: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (Beat(Range.span(self.ranges), len(self.ranges)),)

    @property
    def outputs(self):
        return (Beat(Range.span(self.ranges[c] for c in self.channels), len(self.channels)),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    latency_cycles = 0

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        return np.asarray(x, dtype=np.int64)[..., list(self.channels)]

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Select`.

    Members
    -------
    i : ``In(stream)``
        All lanes.
    o : ``Out(stream)``
        The chosen ones.
    """

    def __init__(self, spec: Select):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        for lane, channel in enumerate(self.spec.channels):
            # A lane is cut to the bits that the range of the chosen ones needs.
            m.d.comb += self.o.payload[lane].eq(self.i.payload[channel])
        return m
