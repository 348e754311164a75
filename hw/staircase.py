"""Any function of one integer, one for each channel, as the steps where it changes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from . import step_circuits
from .beat import Beat
from .netlist import Netlist, Word
from .pipeline import Pipeline
from .ranges import Range
from .steps import Steps

__all__ = ["Staircase"]


@dataclass(frozen=True, eq=False)
class Staircase:
    """``o[c] = steps[c](i[c])``: scale, bias, batch norm, activation and rounding in one.

    Shapes: in and out ``(beats, channels)``. ``ranges`` is what each channel's input can be;
    the output range follows from the levels that are reachable.

    Timing: one beat a cycle. Each channel has the circuit that
    :func:`sqwire.hw.step_circuits.choose` finds cheapest; ``latency_cycles`` is that of the
    slowest channel, and the others wait for it.

    Raises
    ------
    ValueError
        If there is not one range and one function a channel.
    """

    steps: tuple[Steps, ...]
    ranges: tuple[Range, ...]
    beats: int = 1

    def __post_init__(self):
        if len(self.steps) != len(self.ranges) or not self.steps:
            raise ValueError(
                f"Staircase: steps and ranges must be one a channel, "
                f"not {len(self.steps)} and {len(self.ranges)}"
            )
        object.__setattr__(self, "ranges", tuple(self.ranges))
        object.__setattr__(
            self,
            "steps",
            tuple(s.within(r) for s, r in zip(self.steps, self.ranges, strict=True)),
        )

    @cached_property
    def out_ranges(self) -> tuple[Range, ...]:
        """For each channel, the smallest and the largest level it reaches."""
        return tuple(Range(s.levels.min(), s.levels.max()) for s in self.steps)

    @cached_property
    def circuits(self) -> tuple[step_circuits.Circuit, ...]:
        """What each channel is made of."""
        return tuple(
            step_circuits.choose(s, r) for s, r in zip(self.steps, self.ranges, strict=True)
        )

    @property
    def inputs(self):
        return (Beat(Range.span(self.ranges), len(self.ranges)),)

    @property
    def outputs(self):
        return (Beat(Range.span(self.out_ranges), len(self.steps)),)

    @property
    def beats_in(self) -> int:
        return self.beats

    @property
    def beats_out(self) -> int:
        return self.beats

    @property
    def latency_cycles(self) -> int:
        return max(1, *(circuit.latency_cycles for circuit in self.circuits))

    def needs(self) -> np.ndarray:
        return np.arange(1, self.beats + 1)

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        return np.stack([s(x[..., c]) for c, s in enumerate(self.steps)], axis=-1)

    def create(self) -> wiring.Component:
        return _Component(self)


class _Component(wiring.Component):
    """Hardware of a :class:`Staircase`.

    Members
    -------
    i : ``In(stream)``
        One accumulator a channel.
    o : ``Out(stream)``
        One code a channel.
    """

    def __init__(self, spec: Staircase):
        self.spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        pipeline = Pipeline(m, [self.i], self.o, spec.latency_cycles)
        _netlist(spec).place(
            m, platform,
            enable=pipeline.advance, i=self.i.payload.as_value(), o=self.o.payload.as_value(),
        )  # fmt: skip
        return m


def _netlist(spec: Staircase) -> Netlist:
    """The circuits of all channels, each as long as the longest."""
    beat = spec.inputs[0]
    netlist = Netlist(beat.bits)
    shape = spec.outputs[0].range.shape
    levels = []
    for channel, circuit in enumerate(spec.circuits):
        # The lane is no wider than this channel's own range.
        domain = circuit.domain
        code = netlist.input(channel * beat.range.bits, domain.bits, signed=domain.lo < 0)
        level = circuit.build(netlist, code, shape)
        if not level.is_constant:
            for _ in range(circuit.latency_cycles, spec.latency_cycles):
                level = netlist.register(level)
        levels.append(level)
    netlist.output = Word.join(levels)
    return netlist
