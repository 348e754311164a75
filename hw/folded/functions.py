"""Functions of one integer, another for each channel, of channels that follow each other."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..beat import Beat
from ..ranges import Range
from ..steps import Steps
from . import requantise
from .memory import FABRICS, Store, pipe

__all__ = ["Functions"]


@dataclass(frozen=True, eq=False)
class Functions:
    """``o[p, c] = steps[c](i[p, c])``, what :class:`sqwire.hw.staircase.Staircase` does at once.

    Shapes: in and out ``(positions * channels / lanes, lanes)``: ``lanes`` channels a beat.
    ``ranges`` is what each channel's input can be.

    Timing: one beat a cycle, ``latency_cycles`` later. The whole pipeline stops while the output
    is held.

    Circuit: one for each lane, of which the constants change from beat to beat: with ``multiply``
    ``clamp((factor * x + offset) >> shift)`` where that is exact, else a binary search among
    thresholds; see :mod:`sqwire.hw.folded.requantise`. ``fabric`` names what they are made of
    (:data:`sqwire.hw.folded.memory.FABRICS`).

    Raises
    ------
    ValueError
        If there is not one range and one function a channel, ``lanes`` does not divide the
        channels, or ``positions`` is below one.
    """

    steps: tuple[Steps, ...]
    ranges: tuple[Range, ...]
    lanes: int = 1
    positions: int = 1
    multiply: bool = True
    fabric: str = "ecp5"

    def __post_init__(self):
        if len(self.steps) != len(self.ranges) or not self.steps:
            raise ValueError(
                f"Functions: steps and ranges must be one a channel, "
                f"not {len(self.steps)} and {len(self.ranges)}"
            )
        if self.lanes < 1 or len(self.steps) % self.lanes:
            raise ValueError(
                f"Functions: lanes must divide the channels ({len(self.steps)}), not {self.lanes}"
            )
        if self.positions < 1:
            raise ValueError(f"Functions: positions must be at least 1, not {self.positions}")

    @cached_property
    def circuits(self) -> tuple[Any, ...]:
        """What each lane is made of."""
        return tuple(
            requantise.choose(
                self.steps[lane :: self.lanes],
                self.ranges[lane :: self.lanes],
                multiply=self.multiply,
                fabric=FABRICS[self.fabric],
            )
            for lane in range(self.lanes)
        )

    @property
    def inputs(self):
        return (Beat(Range.span(self.ranges), self.lanes),)

    @cached_property
    def outputs(self):
        within = [s.within(r) for s, r in zip(self.steps, self.ranges, strict=True)]
        levels = Range.span([Range(int(s.levels.min()), int(s.levels.max())) for s in within])
        return (Beat(levels, self.lanes),)

    @property
    def beats_position(self) -> int:
        """Beats a position."""
        return len(self.steps) // self.lanes

    @property
    def beats_in(self) -> int:
        return self.positions * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.beats_in

    @property
    def latency_cycles(self) -> int:
        return 1 + max(circuit.latency_cycles for circuit in self.circuits)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories."""
        own = [circuit.stores(f"lane_{k}") for k, circuit in enumerate(self.circuits)]
        return tuple(store for stores in own for store in stores)

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats_in + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64).reshape(len(x), -1, len(self.steps))
        y = np.stack([s(x[..., c]) for c, s in enumerate(self.steps)], axis=-1)
        return y.reshape(len(x), self.beats_out, self.lanes)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of :class:`Functions`.

    Members
    -------
    i : ``In(stream)``
        Channels of positions.
    o : ``Out(stream)``
        Their functions.
    """

    def __init__(self, spec: Functions):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m, pipeline = Module(), Module()
        spec, beats = self.spec, self.spec.beats_position
        shape, latency = spec.outputs[0].range.shape, spec.latency_cycles
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]
        m.submodules.pipeline = EnableInserter(advance)(pipeline)

        beat = Signal(range(beats))
        with pipeline.If(self.i.valid):
            pipeline.d.sync += beat.eq(Mux(beat == beats - 1, 0, beat + 1))
        codes = []
        for lane, circuit in enumerate(spec.circuits):
            x = Signal(circuit.domain.shape, name=f"x_{lane}")
            pipeline.d.comb += x.eq(self.i.payload[lane])
            code = Signal(shape, name=f"code_{lane}")
            built = circuit.build(pipeline, x, beat, shape, f"lane_{lane}")
            pipeline.d.comb += code.eq(built)
            codes.append(pipe(pipeline, code, latency - circuit.latency_cycles, f"late_{lane}"))
        valid = pipe(pipeline, self.i.valid, latency, "valid", reset_less=False)
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.as_value().eq(Cat(codes))]
        return m
