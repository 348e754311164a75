"""Add: the lanewise sum of several streams, for instance around a residual block."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .beat import Beat
from .concat import Concat
from .dot import Dot
from .ranges import Range

__all__ = ["Add"]


@dataclass(frozen=True)
class Add:
    """``o[m, c] = sum over k of factors[k] * ik[m, c]``.

    Shapes: all inputs and the output ``(beats, lanes)``. ``ranges`` is what each lane of each
    input can be; the output's range is the exact interval of the sums, so nothing overflows.
    Factors make up for scales whose ratio is a ratio of small integers.

    Timing: one beat of each input a cycle; the circuit is a :class:`sqwire.hw.concat.Concat`
    and a :class:`sqwire.hw.dot.Dot`, and the latency that of the adders: one cycle for two
    inputs with factors of one. A beat is taken only together with its partners.

    Raises
    ------
    ValueError
        If there are fewer than two inputs, they differ in lanes, there is not one factor
        an input, a factor is 0, or ``beats`` is below one.
    """

    ranges: tuple[tuple[Range, ...], ...]
    factors: tuple[int, ...]
    beats: int = 1

    def __post_init__(self):
        if len(self.ranges) < 2:
            raise ValueError(f"Add: inputs must be at least 2, not {len(self.ranges)}")
        lanes = [len(ranges) for ranges in self.ranges]
        if len(set(lanes)) > 1:
            raise ValueError(f"Add: all inputs must have as many lanes, not {lanes}")
        if len(self.factors) != len(self.ranges) or 0 in self.factors:
            raise ValueError(
                f"Add: factors must be one an input ({len(self.ranges)}) and not 0, "
                f"not {self.factors}"
            )
        if self.beats < 1:
            raise ValueError(f"Add: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return tuple(Beat(Range.span(ranges), len(ranges)) for ranges in self.ranges)

    @property
    def outputs(self):
        return self.dot.outputs

    @property
    def join(self) -> Concat:
        """The circuit's first part: the summands side by side."""
        return Concat(self.inputs, self.beats)

    @cached_property
    def dot(self) -> Dot:
        """The circuit's second part: the adders."""
        lanes = len(self.ranges[0])
        weight = np.hstack([np.eye(lanes, dtype=np.int64) * factor for factor in self.factors])
        flat = tuple(r for ranges in self.ranges for r in ranges)
        return Dot(weight, np.zeros(lanes, dtype=np.int64), flat, self.beats)

    @property
    def row_ranges(self) -> tuple[Range, ...]:
        """For each lane, the smallest and the largest sum."""
        return self.dot.row_ranges

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return self.join.latency_cycles + self.dot.latency_cycles

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, *x):
        return sum(
            np.asarray(part, dtype=np.int64) * factor
            for part, factor in zip(x, self.factors, strict=True)
        )

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`Add`.

    Members
    -------
    i0, i1, ... : ``In(stream)``
        Summands.
    o : ``Out(stream)``
        Sums.
    """

    def __init__(self, spec: Add):
        self.spec = spec
        ports = {f"i{k}": In(beat.signature) for k, beat in enumerate(spec.inputs)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.join = join = self.spec.join.create()
        m.submodules.dot = dot = self.spec.dot.create()
        for name in (f"i{k}" for k in range(len(self.spec.ranges))):
            connect(m, flipped(getattr(self, name)), getattr(join, name))
        connect(m, join.o, dot.i)
        connect(m, dot.o, flipped(self.o))
        return m
