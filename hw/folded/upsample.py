"""Nearest-neighbour upsampling of channels that follow each other."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..raster import counter
from .memory import Store, ram

__all__ = ["Upsample"]


@dataclass(frozen=True)
class Upsample:
    """``o[r, c, ch] = x[r // fh, c // fw, ch]`` with ``factor`` = (fh, fw).

    Shapes: in ``(height * width * beats_position, lanes)`` of ``beat``, out ``(height * fh * width
    * fw * beats_position, lanes)`` of the same: a position is ``beats_position`` beats.

    Timing: one output beat a cycle; an output is valid two cycles after the input beat it shows.
    While positions and rows are repeated no input is taken.

    Circuit: a memory of one row (of one position where rows do not repeat), filled as it passes
    for the first time and read the other times.

    Raises
    ------
    ValueError
        If a size, a factor or ``beats_position`` is below one.
    """

    height: int
    width: int
    beat: Beat
    beats_position: int
    factor: tuple[int, int]

    def __post_init__(self):
        for what in ("height", "width", "beats_position"):
            if getattr(self, what) < 1:
                raise ValueError(f"Upsample: {what} must be at least 1, not {getattr(self, what)}")
        if min(self.factor) < 1:
            raise ValueError(f"Upsample: factor must be at least 1, not {self.factor}")

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.height * self.width * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.beats_in * self.factor[0] * self.factor[1]

    latency_cycles = 2

    @property
    def store(self) -> Store:
        """What will be repeated."""
        kept = self.width if self.factor[0] > 1 else 1
        depth = ((kept - 1) << (self.beats_position - 1).bit_length()) + self.beats_position
        return Store("row", depth, self.beat.bits, False)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        return (self.store,) if self.factor != (1, 1) else ()

    def needs(self) -> np.ndarray:
        row, again, column, turn, beat = np.indices(
            (self.height, self.factor[0], self.width, self.factor[1], self.beats_position)
        )
        passed = (row * self.width + column) * self.beats_position + beat + 1
        position = (row * self.width + column + 1) * self.beats_position
        whole = (row + 1) * self.width * self.beats_position
        return np.where(again > 0, whole, np.where(turn > 0, position, passed)).reshape(-1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        x = x.reshape(len(x), self.height, self.width, -1)
        x = x.repeat(self.factor[0], axis=1).repeat(self.factor[1], axis=2)
        return x.reshape(len(x), self.beats_out, self.beat.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of an :class:`Upsample`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions in raster order.
    o : ``Out(stream)``
        Those of the larger frame.
    """

    def __init__(self, spec: Upsample):
        self.spec = spec
        super().__init__({"i": In(spec.beat.signature), "o": Out(spec.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        advance, step, fresh = Signal(), Signal(), Signal()
        beat, last_beat = counter(m, step, spec.beats_position, "beat")
        turn, last_turn = counter(m, step & last_beat, spec.factor[1], "turn")
        turned = step & last_beat & last_turn
        column, last_column = counter(m, turned, spec.width, "column")
        again, _ = counter(m, turned & last_column, spec.factor[0], "again")
        m.d.comb += [
            fresh.eq((turn == 0) & (again == 0)),
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~fresh)),
            self.i.ready.eq(advance & fresh),
        ]
        # Cycle 1: the beat and what the memory holds. Cycle 2: one of them.
        x = Signal(spec.beat.layout, reset_less=True)
        valid, passes = Signal(), Signal(reset_less=True)
        with m.If(advance):
            m.d.sync += [
                x.eq(self.i.payload),
                passes.eq(fresh),
                valid.eq(step),
                self.o.valid.eq(valid),
                self.o.payload.eq(x),
            ]
        if spec.stores:
            kept = column if spec.factor[0] > 1 else Const(0, 0)
            address = Cat(beat, kept)[: max(spec.store.depth - 1, 1).bit_length()]
            word = ram(
                m, spec.store, "row", write=address, data=self.i.payload.as_value(),
                enable=step & fresh, read=address,
            )  # fmt: skip
            again_word = Signal(spec.beat.layout, reset_less=True)
            with m.If(advance):
                m.d.sync += again_word.eq(word)
                with m.If(~passes):
                    m.d.sync += self.o.payload.eq(again_word)
        return m
