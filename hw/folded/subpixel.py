"""SubpixelArgMax of channels that follow each other."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..pipeline import registered
from ..raster import counter
from ..subpixel import SubpixelArgMax as Wide
from ..subpixel import best, rivals, vertex

__all__ = ["SubpixelArgMax"]


@dataclass(frozen=True)
class SubpixelArgMax:
    """What ``whole`` does where a position is one beat, with ``lanes`` channels a beat.

    Shapes: in ``(positions * channels / lanes, lanes)``, out ``(positions, 1)``.

    Timing: one input beat a cycle; an output is valid ``latency_cycles`` after the last channels.
    The whole pipeline stops while the output is held.

    Circuit: the best of a beat is compared with the best before; where that was the last of its
    beat, how far it is above its right neighbour is known only now.

    Raises
    ------
    ValueError
        If ``lanes`` is not 1, 2, 4 or 8, or as many channels are not at least two beats.
    """

    whole: Wide
    lanes: int

    def __post_init__(self):
        if self.lanes not in (1, 2, 4, 8):
            raise ValueError(f"SubpixelArgMax: lanes must be 1, 2, 4 or 8, not {self.lanes}")
        if self.whole.beat.lanes % self.lanes or self.groups < 2:
            raise ValueError(
                f"SubpixelArgMax: channels must be twice the lanes ({self.lanes}) or another "
                f"multiple, not {self.whole.beat.lanes}"
            )

    @property
    def groups(self) -> int:
        """Beats of a position."""
        return self.whole.beat.lanes // self.lanes

    @property
    def inputs(self):
        return (Beat(self.whole.beat.range, self.lanes),)

    @property
    def outputs(self):
        return self.whole.outputs

    @property
    def beats_in(self) -> int:
        return self.whole.beats * self.groups

    @property
    def beats_out(self) -> int:
        return self.whole.beats

    @property
    def latency_cycles(self) -> int:
        return 4 + (self.lanes - 1).bit_length() + self.whole.parts.bit_length()

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_out + 1) * self.groups

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return self.whole.compute(x.reshape(len(x), self.beats_out, -1))

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`SubpixelArgMax`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        The place of the largest of each position.
    """

    def __init__(self, spec: SubpixelArgMax):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, codes = self.spec, self.spec.whole.beat.range
        advance, take = Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]

        register = partial(registered, m, advance)

        def late(value, cycles, name, *, reset_less=True):
            for cycle in range(cycles):
                value = register(value, value.shape(), f"{name}_{cycle}", reset_less=reset_less)
            return value

        # The best of a beat. The very first and the very last channel have no neighbours.
        group, last = counter(m, take, spec.groups, "group")
        first = group == 0
        lanes = [self.i.payload[k] for k in range(spec.lanes)]
        before = Signal(codes.shape, reset_less=True)
        with m.If(take):
            m.d.sync += before.eq(lanes[-1])
        rows = []
        for k, code in enumerate(lanes):
            left = Mux(first, code, before) if k == 0 else lanes[k - 1]
            right = code if k == spec.lanes - 1 else lanes[k + 1]
            if k == 0:
                right = Mux(first, code, right)
            if k == spec.lanes - 1:
                left = Mux(last, code, left)
            rows.append(rivals(register, codes, code, left, right, k))
        code, p, q, lane = best(register, rows)
        depth = 1 + (spec.lanes - 1).bit_length()
        valid = late(take, depth, "valid", reset_less=False)
        first, last = late(first, depth, "first"), late(last, depth, "last")
        group, begins = late(group, depth, "group"), late(lanes[0], depth, "begins")

        # The best so far.
        largest, above, below = (Signal.like(x, reset_less=True) for x in (code, p, q))
        index, open_ = Signal(range(spec.whole.beat.lanes)), Signal()
        with m.If(advance & valid):
            m.d.sync += open_.eq(0)
            with m.If(open_):
                m.d.sync += below.eq(largest - begins)
            with m.If(first | (code > largest)):
                m.d.sync += [
                    largest.eq(code),
                    above.eq(p),
                    below.eq(q),
                    index.eq(Cat(lane, group)),
                    open_.eq(~last & (lane == spec.lanes - 1 if spec.lanes > 1 else ~first)),
                ]
        ends = register(valid & last, 1, "ends", reset_less=False)
        place = vertex(register, spec.whole.parts, index, above, below)
        place = register(place, spec.outputs[0].range.shape, "place")
        cycles = 2 + spec.whole.parts.bit_length()
        m.d.comb += [
            self.o.valid.eq(late(ends, cycles, "ends", reset_less=False)),
            self.o.payload[0].eq(place),
        ]
        return m
