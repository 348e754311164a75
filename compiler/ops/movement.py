"""Operators of the integer graph that move codes and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sqwire.hw.concat import Concat as ConcatHw
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace as DepthToSpaceHw
from sqwire.hw.flatten import Flatten as FlattenHw
from sqwire.hw.pad import Pad as PadHw
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize as ResizeHw
from sqwire.hw.select import Select as SelectHw

from .tensor import Chain, Tensor, beat_of

__all__ = ["Concat", "DepthToSpace", "Dilate", "Flatten", "Pad", "Resize", "Select"]


@dataclass(frozen=True)
class Concat:
    """The channels of several tensors of one height and width side by side."""

    def infer(self, *inputs: Tensor) -> Tensor:
        self.lower(*inputs)
        ranges = tuple(r for tensor in inputs for r in tensor.ranges)
        return Tensor(inputs[0].height, inputs[0].width, ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        sizes = {(tensor.height, tensor.width) for tensor in inputs}
        if len(sizes) > 1:
            raise ValueError(
                f"height and width of all must be equal, not {' and '.join(map(str, sizes))}"
            )
        parts = tuple(beat_of(tensor) for tensor in inputs)
        return (("concat", ConcatHw(parts, inputs[0].positions)),)


@dataclass(frozen=True)
class Select:
    """Some channels, in any order, any number of times."""

    channels: tuple[int, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        return Tensor(tensor.height, tensor.width, tuple(tensor.ranges[c] for c in self.channels))

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return (("select", SelectHw(tensor.ranges, self.channels, tensor.positions)),)


@dataclass(frozen=True)
class Pad:
    """``code`` around the frame: ``padding`` is (top, left, bottom, right); negative ones crop."""

    padding: tuple[int, int, int, int]
    code: int = 0

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        top, left, bottom, right = self.padding
        height, width = tensor.height + top + bottom, tensor.width + left + right
        self.lower(tensor)
        ranges = tensor.ranges
        if max(self.padding) > 0:
            ranges = tuple(Range.span([r, Range(self.code, self.code)]) for r in ranges)
        return Tensor(height, width, ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        beat = beat_of(tensor)
        top, left, bottom, right = (max(0, -p) for p in self.padding)
        crop = Crop(tensor.height, tensor.width, beat, (top, left, bottom, right))
        top, left, bottom, right = (max(0, p) for p in self.padding)
        pad = PadHw(
            crop.out_height, crop.out_width, beat, (top, left, bottom, right), code=self.code
        )
        chain: Chain = (("crop", crop),) if min(self.padding) < 0 else ()
        return (*chain, ("pad", pad)) if max(self.padding) > 0 or not chain else chain


@dataclass(frozen=True)
class Dilate:
    """``stride - 1`` positions of zeros between neighbours, as a transposed convolution wants."""

    stride: tuple[int, int]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        hw = self._hw(tensor)
        ranges = tensor.ranges
        if hw.beats_out > hw.beats_in:
            ranges = tuple(Range.span([r, Range(0, 0)]) for r in ranges)
        return Tensor(hw.out_height, hw.out_width, ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("dilate", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> PadHw:
        return PadHw(tensor.height, tensor.width, beat_of(tensor), stride=self.stride)


@dataclass(frozen=True)
class Resize:
    """Nearest upsampling: position (r, c) is that at (r // factor[0], c // factor[1])."""

    factor: tuple[int, int]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        height, width = tensor.height * self.factor[0], tensor.width * self.factor[1]
        return Tensor(height, width, tensor.ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return (("resize", ResizeHw(tensor.height, tensor.width, beat_of(tensor), self.factor)),)


@dataclass(frozen=True)
class DepthToSpace:
    """Blocks of channels as ``block`` x ``block`` positions, as ONNX defines it.

    Channel ``ch`` of position (i, j) of a block is channel ``(i * block + j) * channels + ch`` in
    mode DCR (depth, column, row) and ``(ch * block + i) * block + j`` in mode CRD.
    """

    block: int
    mode: Literal["DCR", "CRD"] = "DCR"

    def __post_init__(self) -> None:
        if self.mode not in ("DCR", "CRD"):
            raise ValueError(f"mode must be DCR or CRD, not {self.mode}")

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        self.lower(tensor)
        parts = [tensor.ranges[c] for c in self._order(tensor)]
        count = tensor.channels // self.block**2
        ranges = tuple(Range.span(parts[c::count]) for c in range(count))
        return Tensor(tensor.height * self.block, tensor.width * self.block, ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        hw = DepthToSpaceHw(tensor.height, tensor.width, beat_of(tensor), self.block)
        if self.mode == "DCR" or self.block == 1:
            return (("space", hw),)
        select = SelectHw(tensor.ranges, self._order(tensor), tensor.positions)
        return (("select", select), ("space", hw))

    def _order(self, tensor: Tensor) -> tuple[int, ...]:
        """The channels in the order of mode DCR."""
        if self.mode == "DCR":
            return tuple(range(tensor.channels))
        return tuple(np.arange(tensor.channels).reshape(-1, self.block**2).T.reshape(-1).tolist())


@dataclass(frozen=True)
class Flatten:
    """All positions side by side as channels of one: row, column, channel innermost."""

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(1, 1, tensor.ranges * tensor.positions)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return (("flatten", FlattenHw(beat_of(tensor), tensor.positions)),)
