"""ArgMax: the number of the largest lane."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .pipeline import Pipeline
from .ranges import Range

__all__ = ["ArgMax"]


@dataclass(frozen=True)
class ArgMax:
    """``o[m, 0] = argmax over l of i[m, l]``, of several equal ones the first (or the ``last``).

    Shapes: in ``(beats, lanes)``, out ``(beats, 1)`` with the range ``0 .. lanes - 1``.

    Timing: one beat a cycle; ``latency_cycles`` is the depth of the tree of pairwise
    comparisons, each with a register: ``ceil(log2(lanes))``. The whole pipeline stops while
    the output is held.

    Raises
    ------
    ValueError
        If ``beats`` is below one.
    """

    beat: Beat
    last: bool = False
    beats: int = 1

    def __post_init__(self):
        if self.beats < 1:
            raise ValueError(f"ArgMax: beats must be at least 1, not {self.beats}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (Beat(Range(0, self.beat.lanes - 1), 1),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return (self.beat.lanes - 1).bit_length()

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        if self.last:
            return x.shape[-1] - 1 - x[..., ::-1].argmax(axis=-1, keepdims=True)
        return x.argmax(axis=-1, keepdims=True)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`ArgMax`.

    Members
    -------
    i : ``In(stream)``
        Codes.
    o : ``Out(stream)``
        The number of the lane with the largest one.
    """

    def __init__(self, spec: ArgMax):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i], self.o, spec.latency_cycles)

        def register(value, name):
            return pipeline.register(value, value.shape(), name)

        codes = [self.i.payload[lane] for lane in range(spec.beat.lanes)]
        # Within each group of 2**level lanes, the number of its largest.
        winners = [Const(0, 0)] * len(codes)
        for level in range(1, spec.latency_cycles + 1):
            # Cycle `level`: neighbours are compared; the odd one out only waits.
            pairs = range(0, len(codes), 2)
            following, places = [], []
            for k in pairs:
                if k + 1 == len(codes):
                    larger, winner = codes[k], Cat(winners[k], Const(0, 1))
                else:
                    left, right = codes[k], codes[k + 1]
                    second = right >= left if spec.last else right > left
                    larger = Mux(second, right, left)
                    winner = Cat(Mux(second, winners[k + 1], winners[k])[: level - 1], second)
                places.append(register(winner, f"winner_{level}_{k // 2}"))
                if len(pairs) > 1:
                    following.append(register(larger, f"code_{level}_{k // 2}"))
            codes, winners = following, places
        m.d.comb += self.o.payload[0].eq(winners[0])
        return m
