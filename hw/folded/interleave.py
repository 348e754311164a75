"""The channels of several streams behind each other, position by position."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range

__all__ = ["Interleave"]


@dataclass(frozen=True)
class Interleave:
    """Of each position ``counts[0]`` beats of the first input, then ``counts[1]`` of the next, ...

    What :class:`sqwire.hw.concat.Concat` does at once where a position is one beat.

    Shapes: inputs ``(positions * counts[k], lanes)``, of any ranges, one for each of ``parts``; out
    ``(positions * sum(counts), lanes)`` with the smallest range that holds all of theirs.
    ``beats_in`` counts the beats of all inputs; :meth:`turns` says which of them are whose.

    Timing: one beat a cycle, one cycle of latency. A beat is taken when it is its turn; inputs
    that come at the same time need queues for what the others put in front.

    Raises
    ------
    ValueError
        If there are fewer than two ``parts`` or they differ in lanes, or there is not one count
        of at least one for each, or ``positions`` is below one.
    """

    parts: tuple[Beat, ...]
    counts: tuple[int, ...]
    positions: int = 1

    def __post_init__(self):
        if len(self.parts) < 2 or len({part.lanes for part in self.parts}) > 1:
            lanes = [part.lanes for part in self.parts]
            raise ValueError(f"Interleave: parts must be two or more of equal lanes, not {lanes}")
        if len(self.counts) != len(self.parts) or min(self.counts) < 1:
            raise ValueError(
                f"Interleave: counts must be one a part ({len(self.parts)}) and at least 1, "
                f"not {self.counts}"
            )
        if self.positions < 1:
            raise ValueError(f"Interleave: positions must be at least 1, not {self.positions}")

    @property
    def inputs(self):
        return self.parts

    @property
    def outputs(self):
        return (Beat(Range.span(part.range for part in self.parts), self.parts[0].lanes),)

    @property
    def beats_in(self) -> int:
        return self.positions * sum(self.counts)

    @property
    def beats_out(self) -> int:
        return self.beats_in

    latency_cycles = 1

    def turns(self, number: int) -> np.ndarray:
        """Which of all beats of a frame come from input ``number``."""
        first, count = sum(self.counts[:number]), self.counts[number]
        positions = np.arange(self.positions)[:, None] * sum(self.counts)
        return (positions + np.arange(first, first + count)).reshape(-1)

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1)

    def compute(self, *x):
        parts = [np.asarray(part, dtype=np.int64) for part in x]
        positions = [part.reshape(len(part), self.positions, -1) for part in parts]
        y = np.concatenate(positions, axis=-1)
        return y.reshape(len(y), self.beats_out, self.parts[0].lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`Interleave`.

    Members
    -------
    i0, i1, ... : ``In(stream)``
        Parts.
    o : ``Out(stream)``
        One after the other.
    """

    def __init__(self, spec: Interleave):
        self.spec = spec
        ports = {f"i{k}": In(part.signature) for k, part in enumerate(spec.parts)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        advance = Signal()
        turn, beat = Signal(range(len(spec.parts))), Signal(range(max(spec.counts)))
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(0)
        with m.Switch(turn):
            for k, count in enumerate(spec.counts):
                part, last = getattr(self, f"i{k}"), beat == count - 1
                with m.Case(k):
                    m.d.comb += part.ready.eq(advance)
                    with m.If(advance & part.valid):
                        m.d.sync += [
                            self.o.valid.eq(1),
                            beat.eq(Mux(last, 0, beat + 1)),
                            turn.eq(Mux(last, (k + 1) % len(spec.parts), k)),
                        ]
                    with m.If(advance):
                        for lane in range(spec.parts[0].lanes):
                            m.d.sync += self.o.payload[lane].eq(part.payload[lane])
        return m
