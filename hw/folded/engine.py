"""The folded engine: any fixed sparse map over positions, on a few lanes."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.lib import wiring

from ..arrays import frozen, product
from ..beat import Beat
from ..ranges import Range
from ..steps import Steps
from . import multiply, requantise
from .ahead import Ahead, ahead
from .check import check
from .circuit import Circuit
from .linebuffer import LineBuffer
from .memories import Memories
from .memory import LUTS_A_BLOCK
from .program import Program
from .raster import Raster
from .rhythm import interval_cycles
from .slots import set_slots
from .split import Split
from .timing import departures, latest, timeline

__all__ = ["Folded"]

# So many rows are one LUT RAM deep; more have multiplexers behind them.
_ROWS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Folded(Memories):
    """``o[r, c, k] = f_k(bias[k] + sum over (i, j, ch) of weight[k, i, j, ch] *
    x[r*sh - top + i*dh, c*sw - left + j*dw, ch])``, zeros outside the frame.

    Convolutions, grouped and depthwise ones (their weights are mostly zero, and zeros take
    no cycles), fully connected layers (one position).

    Shapes: in ``(height * width * channels / lanes_in, lanes_in)``, out ``(out_height *
    out_width * outputs / lanes_out, lanes_out)``: positions in raster order, and the channels of
    each in their order, ``lanes_in`` (``lanes_out``) a beat. ``program.layout`` has these counts.

    ``steps`` are the functions f, one an output channel; without them accumulators come out.
    ``fabric`` names what memories are made of (:data:`sqwire.hw.folded.memory.FABRICS`), and
    ``block_luts`` is how many LUTs a block RAM is worth where they may be made of both.
    ``reach`` is what the sum of products of each output channel can be, where that is known to be
    less than the range of codes and the weights allow: then accumulators are narrower and f is
    simpler.
    ``multiplier`` is ``"lut"``, ``"dsp"`` or ``"digit"``. ``slots`` is how many positions the
    line buffer holds, a power of two or 5, 6 or 7 eighths of one; 0: as many as are needed to start
    one position while the next one is written.

    Timing: a position takes ``position_cycles`` = max(program, input beats, output beats) where
    nothing holds it up: it starts as soon as the last position under its kernel is there, while
    positions behind are written, those before are put out, and the sink keeps up.
    From start to start it takes ``pace_cycles`` at least: so a layer that is faster than the next
    gives its beats as evenly as that takes them. :meth:`departures` gives every cycle. A beat is
    taken while the line buffer has room.

    Raises
    ------
    ValueError
        If sizes make no sense (see :class:`sqwire.hw.folded.raster.Raster`), the program does not
        compute the weights, ``slots`` are too few or no such number, or there is not one function
        and bias a channel.
    """

    height: int
    width: int
    range: Range
    weight: np.ndarray
    program: Program
    bias: np.ndarray | None = None
    steps: tuple[Steps, ...] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right, in positions."""
    dilation: tuple[int, int] = (1, 1)
    multiplier: str = "lut"
    slots: int = 0
    pace_cycles: int = 0
    reach: tuple[Range, ...] | None = None
    block_luts: int = LUTS_A_BLOCK
    fabric: str = "ecp5"

    def __post_init__(self):
        object.__setattr__(self, "weight", frozen(self.weight))
        if self.weight.ndim != 4:
            raise ValueError(
                f"Folded: weight must be (out, rows, columns, in), not {self.weight.shape}"
            )
        bias = np.zeros(self.channels_out, np.int64) if self.bias is None else self.bias
        object.__setattr__(self, "bias", frozen(bias))
        if self.bias.shape != (self.channels_out,):
            raise ValueError(
                f"Folded: bias must be one an output channel ({self.channels_out}), "
                f"not {self.bias.shape}"
            )
        if self.steps is not None:
            object.__setattr__(self, "steps", tuple(self.steps))
            if len(self.steps) != self.channels_out:
                raise ValueError(
                    f"Folded: steps must be one an output channel ({self.channels_out}), "
                    f"not {len(self.steps)}"
                )
        if self.reach is not None:
            self._check_reach()
        check(self.program, self.weight, products=self.multiplier != "digit")
        multiply.multiplier(self.multiplier, self.range, self.program.values, 1)
        set_slots(self, "Folded")

    def _check_reach(self):
        if len(self.reach) != self.channels_out:
            raise ValueError(
                f"Folded: reach must be one an output channel ({self.channels_out}), "
                f"not {len(self.reach)}"
            )
        for channel, (own, most) in enumerate(zip(self.reach, self._bounds, strict=True)):
            if own.lo < most.lo or own.hi > most.hi:
                raise ValueError(
                    f"Folded: reach of channel {channel} must lie in {most.lo}..{most.hi} "
                    f"(its weights and the range of codes), not {own.lo}..{own.hi}"
                )

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def channels_in(self) -> int:
        """Input channels."""
        return self.weight.shape[3]

    @property
    def channels_out(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @cached_property
    def raster(self) -> Raster:
        """Which positions of the input each output position reads."""
        return Raster(
            self.height, self.width, self.kernel, self.stride, self.padding, self.dilation
        )

    pad_code = 0
    """What is read in the padding."""

    # Ranges.

    @property
    def sum_ranges(self) -> tuple[Range, ...]:
        """For each output channel, the smallest and largest sum of products."""
        return self._bounds if self.reach is None else self.reach

    @cached_property
    def _bounds(self) -> tuple[Range, ...]:
        """What range and weights allow the sums to be."""
        code = self.range
        if any(self.padding):
            code = Range.span([code, Range(0, 0)])
        flat = self.weight.reshape(self.channels_out, -1)
        up, down = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        return tuple(
            Range(u * code.lo + d * code.hi, u * code.hi + d * code.lo)
            for u, d in zip(up.tolist(), down.tolist(), strict=True)
        )

    @property
    def sum_range(self) -> Range:
        """What any sum of products can be."""
        return Range.span(self.sum_ranges)

    @property
    def acc_bits(self) -> int:
        """Width of an accumulator."""
        return self.sum_range.bits

    @cached_property
    def multiply(self) -> Any:
        """How lanes multiply."""
        return multiply.multiplier(
            self.multiplier, self.range, self.program.values, self.program.layout.lanes
        )

    @cached_property
    def requantise(self) -> tuple[Any, ...]:
        """For each channel of a beat, the circuit that makes codes of sums."""
        lanes_out = self.program.layout.lanes_out
        circuits = []
        for element in range(lanes_out):
            ranges = self.sum_ranges[element::lanes_out]
            bias = self.bias[element::lanes_out]
            if self.steps is None:
                circuits.append(requantise.Identity(Range.span(ranges), bias, self.made_of))
                continue
            steps = tuple(
                Steps(s.thresholds - b, s.levels)
                for s, b in zip(self.steps[element::lanes_out], bias, strict=True)
            )
            multiply = self.multiplier != "digit"
            circuits.append(
                requantise.choose(steps, ranges, multiply=multiply, fabric=self.made_of)
            )
        return tuple(circuits)

    def timed(self, slots: int, pace_cycles: int) -> "Folded":
        """The same sums and functions with other ``slots`` and ``pace_cycles``."""
        other = replace(self, slots=slots, pace_cycles=pace_cycles)
        vars(other)["requantise"] = self.requantise  # much work, and what it depends on stays
        return other

    # Streams.

    @property
    def inputs(self):
        return (Beat(self.range, self.program.layout.lanes_in),)

    @cached_property
    def outputs(self):
        levels = Range.span([circuit.levels for circuit in self.requantise])
        return (Beat(levels, self.program.layout.lanes_out),)

    @property
    def beats_position(self) -> int:
        """Input beats a position."""
        return self.channels_in // self.program.layout.lanes_in

    @property
    def channel_beats(self) -> int:
        """Output beats a position."""
        return self.channels_out // self.program.layout.lanes_out

    @property
    def beats_in(self) -> int:
        return self.raster.inputs * self.beats_position

    @property
    def beats_out(self) -> int:
        return self.raster.outputs * self.channel_beats

    # Timing.

    @property
    def position_cycles(self) -> int:
        """Cycles from position to position, where nothing holds them up."""
        return max(self.program.cycles, self.channel_beats, self.pace_cycles)

    @property
    def apart_cycles(self) -> int:
        """Cycles from start to start that are waited for, where the program takes less.

        A split program does not wait for its outputs otherwise: they must not become ever more.
        """
        return self.position_cycles if self.program.split else self.pace_cycles

    @property
    def run_cycles(self) -> int:
        """Cycles from the start of a position in which it reads the line buffer."""
        return self.program.cycles

    @property
    def fetch_cycles(self) -> int:
        """From the counter of the program to the part of its word that is for the banks."""
        return self.fetch_store.read_cycles

    @property
    def compute_cycles(self) -> int:
        """From the cycle of a program word to that in which its products are added."""
        early = 1 if self.read_early and not self.program.split else 0
        return self.fetch_cycles + LineBuffer.DELAY + self.multiply.latency_cycles + early

    @property
    def read_early(self) -> bool:
        """Whether accumulators are so many that they are read a cycle before they are added to.

        A block RAM is read so, too.
        """
        if not self.program.row_bits:
            return False
        return self.program.layout.rows > _ROWS_AT_ONCE or self.acc_store.kind == "block"

    @property
    def difference_cycle(self) -> int:
        """From the issue of a beat to the sum of its parts in the accumulators (split or not)."""
        return (0 if self.program.split else 4) + (self.program.layout.parts - 1).bit_length()

    @property
    def requantise_cycles(self) -> int:
        """Cycles that the slowest channel of a beat takes."""
        return max(circuit.latency_cycles for circuit in self.requantise)

    @property
    def collect_cycles(self) -> int:
        """From the issue of a beat to its being valid at the output."""
        return self.difference_cycle + 1 + self.requantise_cycles + 1

    @property
    def first_cycles(self) -> int:
        """From the start of a position to the issue of its first beat."""
        return int(self.issues[0])

    @cached_property
    def ahead(self) -> Ahead:
        """How far lanes of a split program are ahead of each other."""
        return ahead(self.program, self.position_cycles, self.compute_cycles)

    @cached_property
    def issues(self) -> np.ndarray:
        """Cycles from the start of a position to the issue of each beat, at the earliest."""
        if self.program.split:
            return self.ahead.ends + self.compute_cycles + 2
        last = self.program.cycles + self.compute_cycles - 1
        return last + np.arange(self.channel_beats)

    @property
    def latency_cycles(self) -> int:
        return 1 + self.first_cycles + self.collect_cycles

    @property
    def settle_cycles(self) -> int:
        """Cycles after a reset in which it takes nothing, at most: a position of zeros runs."""
        if self.program.split:
            return 0
        return self.first_cycles + self.channel_beats + self.collect_cycles + 8

    def needs(self) -> np.ndarray:
        return np.repeat(self.raster.needs * self.beats_position, self.channel_beats)

    @property
    def rhythm(self) -> tuple:
        """All that says when beats come and go."""
        return (
            self.raster, self.slots, self.buffers, self.beats_position, self.channel_beats,
            self.program.cycles, self.apart_cycles, self.fetch_cycles, self.issues.tobytes(),
            self.collect_cycles,
        )  # fmt: skip

    def timeline(self, arrivals) -> tuple[list[int], list[int], list[int]]:
        """When input positions have come, outputs are started, and their sums are free again."""
        return timeline(self, arrivals)

    def departures(self, arrivals) -> np.ndarray:
        """The cycle in which each output beat leaves if the sink is always ready.

        ``arrivals`` are the cycles in which input beats are offered, of one or more frames.
        """
        return departures(self, arrivals)

    def latest(self, leaves) -> np.ndarray:
        """The latest cycles in which input beats may arrive so that outputs leave by ``leaves``."""
        return latest(self, leaves)

    @cached_property
    def interval_cycles(self) -> int:
        """Cycles a frame, where frames follow each other as fast as they are taken."""
        return interval_cycles(self)

    @property
    def capacity_beats(self) -> int:
        """Input beats that are taken while no output leaves, at the least.

        From the first one that the next output needs on; those in the padding above and left
        count as taken.
        """
        return (self.slots - self.raster.lead) * self.beats_position

    @property
    def utilisation(self) -> float:
        """Share of the lanes' cycles in which they add a product, in steady state."""
        return self.program.terms * self.raster.outputs / (
            self.interval_cycles * self.program.layout.lanes
        )  # fmt: skip

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64)
        raster = self.raster
        x = x.reshape(len(x), self.height, self.width, self.channels_in)
        top, left, bottom, right = self.padding
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        largest = max(abs(self.range.lo), abs(self.range.hi))
        acc = np.zeros((len(x), raster.out_height, raster.out_width, self.channels_out), np.int64)
        (dh, dw), (sh, sw) = self.dilation, self.stride
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = x[:, i * dh :: sh][:, : raster.out_height]
                under = rows[:, :, j * dw :: sw][:, :, : raster.out_width]
                acc += product(under, self.weight[:, i, j], largest)
        acc += self.bias
        if self.steps is not None:
            acc = np.stack([s(acc[..., c]) for c, s in enumerate(self.steps)], axis=-1)
        return acc.reshape(len(x), self.beats_out, self.program.layout.lanes_out)

    def create(self) -> wiring.Component:
        return Split(self) if self.program.split else Circuit(self)
