"""Consistency: where the disparities of the left and of the right view say the same."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .beat import Beat
from .folded.memory import Store, plain
from .pipeline import Pipeline
from .ranges import Range
from .raster import counter

__all__ = ["Consistency"]


@dataclass(frozen=True)
class Consistency:
    """``o[y, x] = 1`` where ``|i0[y, x] - i1[y, x - s]| <= tolerance``, else 0.

    ``i0`` are disparities of the left view, ``i1`` those of the right one, both in ``parts`` of a
    position from 0 on, and ``s = floor((i0[y, x] + parts / 2) / parts)`` is the left one's in whole
    positions: both look at the same thing. Where that lies left of the frame, at ``x < s``,
    the right view does not see it, and ``o = 0``.

    Shapes: inputs ``(height * width, 1)``, out ``(height * width, 1)``.

    Timing: one beat a cycle; ``latency_cycles`` is four. A beat is taken only together with its
    partner. The whole pipeline stops while the output is held.

    Circuit: a memory of as many disparities of the right view as the largest shift reaches back,
    written as they come and read ``s`` positions back.

    Raises
    ------
    ValueError
        If a size is below one, ``parts`` is no power of two from 2 to 64, a disparity may be
        negative, or ``tolerance`` is.
    """

    height: int
    width: int
    left: Range
    right: Range
    parts: int = 16
    tolerance: int = 16

    def __post_init__(self):
        for what in ("height", "width"):
            if getattr(self, what) < 1:
                raise ValueError(
                    f"Consistency: {what} must be at least 1, not {getattr(self, what)}"
                )
        if self.parts not in (2, 4, 8, 16, 32, 64):
            raise ValueError(
                f"Consistency: parts must be a power of two from 2 to 64, not {self.parts}"
            )
        if min(self.left.lo, self.right.lo, self.tolerance) < 0:
            raise ValueError(
                "Consistency: disparities and tolerance must not be negative, not "
                f"{self.left.lo}, {self.right.lo} and {self.tolerance}"
            )

    @property
    def inputs(self):
        return (Beat(self.left, 1), Beat(self.right, 1))

    @property
    def outputs(self):
        return (Beat(Range(0, 1), 1),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.beats_in

    latency_cycles = 4

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1)

    @property
    def reach(self) -> int:
        """The largest shift that does not lead out of the frame."""
        return min((self.left.hi + self.parts // 2) // self.parts, self.width - 1)

    @property
    def depth(self) -> int:
        """Places of the memory, a power of two so that addresses go round by themselves.

        The one that is written now is not yet read.
        """
        return 1 << (self.reach + 1).bit_length()

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memory, as synthesis makes it."""
        return (plain("row", self.depth, self.right.bits, passed=True),)

    def compute(self, left, right):
        shape = (-1, self.height, self.width)
        left = np.asarray(left, dtype=np.int64).reshape(shape)
        right = np.asarray(right, dtype=np.int64).reshape(shape)
        at = np.arange(self.width) - (left + self.parts // 2) // self.parts
        other = np.take_along_axis(right, np.maximum(at, 0), axis=2)
        same = (at >= 0) & (np.abs(left - other) <= self.tolerance)
        return same.astype(np.int64).reshape(len(left), self.beats_in, 1)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Consistency`.

    Members
    -------
    i0 : ``In(stream)``
        Disparities of the left view in raster order.
    i1 : ``In(stream)``
        Those of the right one.
    o : ``Out(stream)``
        Whether they say the same.
    """

    def __init__(self, spec: Consistency):
        self.spec = spec
        ports = {f"i{k}": In(beat.signature) for k, beat in enumerate(spec.inputs)}
        super().__init__({**ports, "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i0, self.i1], self.o, spec.latency_cycles)
        register = pipeline.register

        # Cycle 1: the right disparity is written; where in the memory its partner is, if it is.
        bits = (spec.depth - 1).bit_length()
        column, _ = counter(m, pipeline.take, spec.width, "column")
        place = Signal(bits)
        with m.If(pipeline.take):
            m.d.sync += place.eq(place + 1)
        m.submodules.row = row = Memory(shape=spec.right.bits, depth=spec.depth, init=[])
        write, read = row.write_port(), row.read_port()
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(self.i1.payload[0]),
            write.en.eq(pipeline.take),
        ]
        code = self.i0.payload[0]
        shift = (code + spec.parts // 2) >> (spec.parts.bit_length() - 1)
        inside = register(shift <= column, 1, "inside_1")
        address = register((place - shift)[:bits], bits, "address")
        left = register(code, spec.left.shape, "left_1")
        # Cycle 2: it is read.
        m.d.comb += [read.addr.eq(address), read.en.eq(pipeline.advance)]
        inside, left = register(inside, 1, "inside_2"), register(left, spec.left.shape, "left_2")
        # Cycle 3: how far they are apart. Cycle 4: is it near enough.
        apart = Range(0, max(spec.left.hi, spec.right.hi))
        right = read.data
        distance = Mux(left > right, (left - right)[: apart.bits], (right - left)[: apart.bits])
        distance = register(distance, apart.shape, "distance")
        inside = register(inside, 1, "inside_3")
        m.d.comb += self.o.payload[0].eq(register(inside & (distance <= spec.tolerance), 1, "same"))
        return m
