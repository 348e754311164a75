"""Operators of the integer graph that compare pictures, and make less or more of what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.candidates import Candidates as CandidatesHw
from sqwire.hw.consistency import Consistency as ConsistencyHw
from sqwire.hw.costvolume import CostVolume as CostVolumeHw
from sqwire.hw.crop import Crop
from sqwire.hw.folded.costvolume import CostVolume as FoldedCostVolume
from sqwire.hw.folded.interleave import Interleave
from sqwire.hw.folded.subpixel import SubpixelArgMax as FoldedSubpixelArgMax
from sqwire.hw.median import Median as MedianHw
from sqwire.hw.ranges import Range
from sqwire.hw.subpixel import SubpixelArgMax as SubpixelArgMaxHw

from .tensor import Chain, Tensor, beat_of

__all__ = [
    "Alternate",
    "Bilinear",
    "Candidates",
    "Consistency",
    "CostVolume",
    "Every",
    "Median",
    "SubpixelArgMax",
]


@dataclass(frozen=True)
class Alternate:
    """The columns of ``n`` tensors of one shape in turn: ``o[y, n * x + k] = i_k[y, x]``."""

    def infer(self, *inputs: Tensor) -> Tensor:
        if len({tensor.shape for tensor in inputs}) != 1:
            shapes = " and ".join(str(tensor.shape) for tensor in inputs)
            raise ValueError(f"all shapes must be equal, not {shapes}")
        ranges = tuple(map(Range.span, zip(*(tensor.ranges for tensor in inputs), strict=True)))
        return Tensor(inputs[0].height, inputs[0].width * len(inputs), ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return self.narrow(inputs, inputs[0].channels)

    def narrow(self, tensors: Sequence[Tensor], lanes: int) -> Chain:
        """The same for ``lanes`` channels a beat."""
        parts = tuple(Beat(tensor.range, lanes) for tensor in tensors)
        counts = (tensors[0].channels // lanes,) * len(tensors)
        return (("alternate", Interleave(parts, counts, tensors[0].positions)),)


@dataclass(frozen=True)
class Every:
    """The columns ``first``, ``first + step``, ..., of a tensor as wide as a multiple of ``step``:
    what one of ``step`` tensors was before :class:`Alternate`."""

    first: int
    step: int

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        return Tensor(tensor.height, tensor.width // self.step, tensor.ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return self.narrow(tensor, tensor.channels)

    def narrow(self, tensor: Tensor, lanes: int) -> Chain:
        """The same for ``lanes`` channels a beat."""
        if not 0 <= self.first < self.step or tensor.width % self.step:
            raise ValueError(
                f"columns must be every {self.step}th from one of the first {self.step} on, and "
                f"the width a multiple, not from {self.first} of {tensor.width}"
            )
        beat, beats = Beat(tensor.range, lanes), tensor.channels // lanes
        crop = Crop(tensor.positions, beats, beat, (self.first, 0, 0, 0), (self.step, 1))
        return (("every", crop),)


@dataclass(frozen=True)
class CostVolume:
    """Sums of differences or products of two tensors for each horizontal shift, see
    :class:`sqwire.hw.costvolume.CostVolume`."""

    shifts: int
    form: str = "difference"

    def infer(self, *inputs: Tensor) -> Tensor:
        hw = self._hw(*inputs)
        return Tensor(inputs[0].height, inputs[0].width, (hw.range,) * self.shifts)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("cost", self._hw(*inputs)),)

    def narrow(self, tensors: Sequence[Tensor], lanes: int) -> Chain:
        """The same, ``lanes`` shifts a beat."""
        return (("cost", FoldedCostVolume(self._hw(*tensors), lanes)),)

    def _hw(self, left: Tensor, right: Tensor) -> CostVolumeHw:
        if left.shape != right.shape:
            raise ValueError(f"both shapes must be equal, not {left.shape} and {right.shape}")
        return CostVolumeHw(
            left.height, left.width, left.ranges, right.ranges, self.shifts, self.form
        )


@dataclass(frozen=True)
class SubpixelArgMax:
    """The place of the largest channel in ``parts`` of a channel, see
    :class:`sqwire.hw.subpixel.SubpixelArgMax`."""

    parts: int

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, (self._hw(tensor).outputs[0].range,))

    def lower(self, *inputs: Tensor) -> Chain:
        return (("subpixel", self._hw(*inputs)),)

    def narrow(self, tensor: Tensor, lanes: int) -> Chain:
        """The same for ``lanes`` channels a beat."""
        return (("subpixel", FoldedSubpixelArgMax(self._hw(tensor), lanes)),)

    def _hw(self, tensor: Tensor) -> SubpixelArgMaxHw:
        beat = beat_of(tensor)
        return SubpixelArgMaxHw(beat, self.parts, tensor.positions)


@dataclass(frozen=True)
class Median:
    """The median of each channel over 3x3 positions that are ``dilation`` apart, see
    :class:`sqwire.hw.median.Median`."""

    dilation: int = 1

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        return tensor

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return self.narrow(tensor, tensor.channels)

    def narrow(self, tensor: Tensor, lanes: int) -> Chain:
        """The same for ``lanes`` channels a beat."""
        beat = Beat(tensor.range, lanes)
        median = MedianHw(
            tensor.height, tensor.width, beat, tensor.channels // lanes, self.dilation
        )
        return (("window", median.window), ("median", median))


@dataclass(frozen=True)
class Consistency:
    """Where disparities of the left and of the right view say the same, see
    :class:`sqwire.hw.consistency.Consistency`."""

    parts: int
    tolerance: int

    def infer(self, *inputs: Tensor) -> Tensor:
        hw = self._hw(*inputs)
        return Tensor(inputs[0].height, inputs[0].width, (hw.outputs[0].range,))

    def lower(self, *inputs: Tensor) -> Chain:
        return (("consistency", self._hw(*inputs)),)

    def _hw(self, left: Tensor, right: Tensor) -> ConsistencyHw:
        if left.shape != right.shape or left.channels != 1:
            raise ValueError(
                f"both must have one shape and one channel, not {left.shape} and {right.shape}"
            )
        size = left.height, left.width
        return ConsistencyHw(*size, left.range, right.range, self.parts, self.tolerance)


@dataclass(frozen=True)
class Candidates:
    """The first ``count`` positions at which one of ``channels`` reaches its threshold, see
    :class:`sqwire.hw.candidates.Candidates`."""

    count: int
    channels: tuple[int, ...]
    thresholds: tuple[int, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        number = Range(-1, tensor.positions - 1)
        ranges = (Range.span([r, Range(0, 0)]) for r in tensor.ranges)
        return Tensor(1, self.count, (number, *ranges))

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        beat = beat_of(tensor)
        hw = CandidatesHw(beat, tensor.positions, self.count, self.channels, self.thresholds)
        return (("candidates", hw),)


@dataclass(frozen=True)
class Bilinear:
    """``factor^2`` times the frame upsampled linearly, see :mod:`sqwire.hw.bilinear`."""

    factor: int

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        f = self.factor
        ranges: tuple[Range, ...] = tuple(r * f**2 for r in tensor.ranges)
        return Tensor(tensor.height * f, tensor.width * f, ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        beat = beat_of(tensor)
        rows = BilinearRows(tensor.height, tensor.width, beat, self.factor)
        columns = BilinearColumns(
            tensor.height * self.factor, tensor.width, rows.outputs[0], self.factor
        )
        return (("rows", rows), ("columns", columns))
