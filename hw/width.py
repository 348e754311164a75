"""Width conversion: several narrow beats side by side in one wide beat, and back."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["Pack", "Unpack"]


def _check(what, factor, beats):
    if factor < 1:
        raise ValueError(f"{what}: factor must be at least 1, not {factor}")
    if beats < 1 or beats % factor:
        raise ValueError(
            f"{what}: beats must be a positive multiple of factor ({factor}), not {beats}; "
            "no beat may hold parts of two frames"
        )


def _wide(beat, factor):
    return Beat(beat.range, beat.lanes * factor)


@dataclass(frozen=True)
class Pack:
    """``factor`` consecutive beats become one, the first of them in the low lanes.

    ``o[m, k * lanes + l] = i[m * factor + k, l]``

    Shapes: in ``(beats, lanes)``, out ``(beats / factor, factor * lanes)``, where ``lanes`` and
    the range are those of ``beat``.

    Timing: one input beat a cycle; an output is valid one cycle after the last beat of its group.
    The beats are collected in the output register itself, so while a finished output waits no
    input is taken, and in the cycle in which it leaves the next group begins.

    Raises
    ------
    ValueError
        If ``factor`` is below one or does not divide ``beats``.
    """

    beat: Beat
    factor: int
    beats: int

    def __post_init__(self):
        _check("Pack", self.factor, self.beats)

    @property
    def inputs(self):
        return (self.beat,)

    @property
    def outputs(self):
        return (_wide(self.beat, self.factor),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats // self.factor

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        return np.arange(self.factor, self.beats + 1, self.factor)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return x.reshape(len(x), self.beats_out, self.factor * self.beat.lanes)

    def create(self) -> wiring.Component:
        return _Pack(self)


class _Pack(wiring.Component):
    """Hardware of a :class:`Pack`.

    Members
    -------
    i : ``In(stream)``
        Narrow beats.
    o : ``Out(stream)``
        Wide beats.
    """

    def __init__(self, spec: Pack):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        beat, factor = self.spec.beat, self.spec.factor
        advance, complete = Signal(), Signal()
        filled = Signal(range(factor))
        # Beats enter at the top and shift down: no bit needs a multiplexer.
        held = Signal(beat.bits * factor, reset_less=True)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            complete.eq(filled == factor - 1),
            self.i.ready.eq(advance),
            self.o.payload.as_value().eq(held),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid & complete)
            with m.If(self.i.valid):
                m.d.sync += [
                    held.eq(Cat(held, self.i.payload)[beat.bits :]),
                    filled.eq(Mux(complete, 0, filled + 1)),
                ]
        return m


@dataclass(frozen=True)
class Unpack:
    """One beat becomes ``factor`` consecutive ones, the low lanes first; the inverse of ``Pack``.

    ``o[m * factor + k, l] = i[m, k * lanes + l]``

    The fields are those of the :class:`Pack` it undoes: ``beat`` is the narrow beat that comes
    out, ``beats`` how many of them make a frame.

    Shapes: in ``(beats / factor, factor * lanes)``, out ``(beats, lanes)``.

    Timing: one output beat a cycle, also from one wide beat to the next. The first of a group is
    valid one cycle after its wide beat, the others follow one a cycle; the next wide beat is
    taken in the cycle in which the last of the group leaves.

    Raises
    ------
    ValueError
        If ``factor`` is below one or does not divide ``beats``.
    """

    beat: Beat
    factor: int
    beats: int

    def __post_init__(self):
        _check("Unpack", self.factor, self.beats)

    @property
    def inputs(self):
        return (_wide(self.beat, self.factor),)

    @property
    def outputs(self):
        return (self.beat,)

    @property
    def beats_in(self) -> int:
        return self.beats // self.factor

    @property
    def beats_out(self) -> int:
        return self.beats

    latency_cycles = 1

    def needs(self) -> np.ndarray:
        return np.arange(self.beats) // self.factor + 1

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return x.reshape(len(x), self.beats, self.beat.lanes)

    def create(self) -> wiring.Component:
        return _Unpack(self)


class _Unpack(wiring.Component):
    """Hardware of an :class:`Unpack`.

    Members
    -------
    i : ``In(stream)``
        Wide beats.
    o : ``Out(stream)``
        Narrow beats.
    """

    def __init__(self, spec: Unpack):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        beat, factor = self.spec.beat, self.spec.factor
        advance = Signal()
        left = Signal(range(factor))  # beats of the group behind the one at the output
        more = Signal()  # left != 0, in a register: it selects at every bit
        held = Signal(beat.bits * factor, reset_less=True)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance & ~more),
            self.o.payload.as_value().eq(held[: beat.bits]),
        ]
        with m.If(advance):
            with m.If(more):
                m.d.sync += [held.eq(held >> beat.bits), left.eq(left - 1), more.eq(left != 1)]
            with m.Else():
                m.d.sync += [held.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
                if factor > 1:
                    m.d.sync += [left.eq(factor - 1), more.eq(self.i.valid)]
        return m
