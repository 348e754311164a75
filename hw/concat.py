"""Concat: the lanes of several streams side by side."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .ranges import Range

__all__ = ["Concat"]


@dataclass(frozen=True)
class Concat:
    """``o[m] = (i0[m], i1[m], ...)``: the lanes of the first input, then those of the next.

    Shapes: inputs ``(beats, lanes)`` of any lanes and ranges, one for each of ``parts``; out
    ``(beats, sum of lanes)`` with the smallest range that holds all of theirs.

    Timing: no latency, one beat a cycle, no register. A beat is taken only together with its
    partners: each input's ready waits for the other inputs' valid, never valid for ready.
    Where two of them come from one :class:`sqwire.hw.fork.Fork`, the shorter way needs
    a :class:`sqwire.hw.queue.Queue` as deep as what the longer one swallows.

    Raises
    ------
    ValueError
        If there are fewer than two ``parts`` or ``beats`` is below one.
    """

    parts: tuple[Beat, ...]
    beats: int = 1

    def __post_init__(self):
        if len(self.parts) < 2:
            raise ValueError(f"Concat: parts must be at least 2, not {len(self.parts)}")
        if self.beats < 1:
            raise ValueError(f"Concat: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return self.parts

    @property
    def outputs(self):
        lanes = sum(part.lanes for part in self.parts)
        return (Beat(Range.span(part.range for part in self.parts), lanes),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    latency_cycles = 0

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, *x):
        return np.concatenate([np.asarray(part, dtype=np.int64) for part in x], axis=-1)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Concat`.

    Members
    -------
    i0, i1, ... : ``In(stream)``
        Parts.
    o : ``Out(stream)``
        All of them side by side.
    """

    def __init__(self, spec: Concat):
        self.spec = spec
        ports = {f"i{k}": In(part.signature) for k, part in enumerate(spec.parts)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        parts = [getattr(self, f"i{k}") for k in range(len(self.spec.parts))]
        valid = Cat(part.valid for part in parts)
        m.d.comb += self.o.valid.eq(valid.all())
        for k, part in enumerate(parts):
            others = Cat(valid[:k], valid[k + 1 :])
            m.d.comb += part.ready.eq(self.o.ready & others.all())
        lanes = [part.payload[lane] for part, beat in zip(parts, self.spec.parts, strict=True)
                 for lane in range(beat.lanes)]  # fmt: skip
        for lane, code in enumerate(lanes):
            # Assignment extends the sign of lanes that are narrower than the widest.
            m.d.comb += self.o.payload[lane].eq(code)
        return m
