"""The operators of the integer graph: what each makes of its tensors, and of which hardware.

An operator is a frozen description without sizes; given the tensors it works on, ``infer`` says
what comes out and ``lower`` gives the chain of hardware operators (:mod:`sqwire.hw`) that does it.
The arithmetic lives there and nowhere else: running the graph runs the ``compute`` of that chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.add import Add as AddHw
from sqwire.hw.argmax import ArgMax as ArgMaxHw
from sqwire.hw.arrays import frozen
from sqwire.hw.beat import Beat
from sqwire.hw.concat import Concat as ConcatHw
from sqwire.hw.crop import Crop
from sqwire.hw.depthtospace import DepthToSpace as DepthToSpaceHw
from sqwire.hw.dot import Dot
from sqwire.hw.flatten import Flatten as FlattenHw
from sqwire.hw.maxpool import MaxPool as MaxPoolHw
from sqwire.hw.pad import Pad as PadHw
from sqwire.hw.ranges import Range
from sqwire.hw.resize import Resize as ResizeHw
from sqwire.hw.select import Select as SelectHw
from sqwire.hw.staircase import Staircase as StaircaseHw
from sqwire.hw.steps import Steps
from sqwire.hw.sumpool import SumPool as SumPoolHw
from sqwire.hw.window import Window

__all__ = [
    "Add",
    "ArgMax",
    "Chain",
    "Concat",
    "DepthToSpace",
    "Dilate",
    "Flatten",
    "Linear",
    "MaxPool",
    "Op",
    "Pad",
    "Resize",
    "Select",
    "Staircase",
    "SumPool",
    "Tensor",
    "beside",
]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Tensor:
    """Integers of shape (height, width, channels), with what each channel can be."""

    height: int
    width: int
    ranges: tuple[Range, ...]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.ranges)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def positions(self) -> int:
        """Beats a frame when one position is one beat."""
        return self.height * self.width

    @property
    def range(self) -> Range:
        """What any channel can be."""
        return Range.span(self.ranges)


Chain = tuple[tuple[str, Any], ...]
"""Hardware operators in order, each with the suffix that names it within its node."""


class Op(Protocol):
    """What the compiler asks of an operator."""

    def infer(self, *inputs: Tensor) -> Tensor:
        """The output for these inputs; ValueError if they do not fit."""

    def lower(self, *inputs: Tensor) -> Chain:
        """The hardware operators; the first takes the inputs, each other the one before."""


def beside(size: int, kernel: int, stride: int) -> bool:
    """Whether kernels along an axis of ``size`` stand side by side, or there is just one."""
    return stride == kernel or (size - kernel < stride and size < 2 * kernel)


def _beat(tensor: Tensor) -> Beat:
    return Beat(tensor.range, tensor.channels)


def _window(op: Linear | MaxPool, tensor: Tensor, code: int) -> tuple[Chain, Window]:
    """The sliding window of ``op`` over ``tensor``, where padded positions hold ``code``.

    The hardware's window pads on the way as far as a kernel usually needs it. Where that is not
    enough, padding is a stage of its own in front: the chain.
    """

    def window(tensor: Tensor, padding: tuple[int, int, int, int]) -> Window:
        return Window(
            height=tensor.height,
            width=tensor.width,
            channels=tensor.channels,
            range=tensor.range,
            kernel=op.kernel,
            stride=op.stride,
            padding=padding,
            dilation=op.dilation,
            pad_code=code,
        )

    try:
        return (), window(tensor, op.padding)
    except ValueError:
        if not any(op.padding):
            raise
    pad = Pad(op.padding, code)
    return pad.lower(tensor), window(pad.infer(tensor), (0, 0, 0, 0))


@dataclass(frozen=True, eq=False)
class Linear:
    """A fixed integer map applied at each position: convolution, fully connected, any sparse map.

    ``weight`` has shape (out channels, kernel rows, kernel columns, in channels), ``bias``
    (out channels). ``padding`` is (top, left, bottom, right) and padded positions hold code 0.
    """

    weight: Int
    bias: Int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen(self.weight))
        object.__setattr__(self, "bias", frozen(self.bias))
        if self.weight.ndim != 4:
            raise ValueError(f"weight must be (out, rows, columns, in), not {self.weight.shape}")

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.weight.shape[1], self.weight.shape[2]

    def infer(self, *inputs: Tensor) -> Tensor:
        _, window, dot = self._parts(*inputs)
        return Tensor(window.out_height, window.out_width, dot.row_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        pad, window, dot = self._parts(*inputs)
        trivial = window.taps == 1 and window.stride == (1, 1) and not any(window.padding)
        return (*pad, ("dot", dot)) if trivial else (*pad, ("window", window), ("dot", dot))

    def _parts(self, tensor: Tensor) -> tuple[Chain, Window, Dot]:
        if self.weight.shape[3] != tensor.channels:
            raise ValueError(
                f"input channels must be {self.weight.shape[3]}, not {tensor.channels}"
            )
        pad, window = _window(self, tensor, 0)
        zero = Range(0, 0)
        ranges = list(tensor.ranges)
        if any(self.padding):
            ranges = [Range.span([r, zero]) for r in ranges]
        lanes = []
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                lanes += ranges if (i, j) in window.offsets else [zero] * tensor.channels
        flat = self.weight.reshape(len(self.weight), -1)
        return pad, window, Dot(flat, self.bias, tuple(lanes), window.beats_out)


@dataclass(frozen=True, eq=False)
class Staircase:
    """A function of one integer for each channel, see :class:`sqwire.hw.staircase.Staircase`."""

    steps: tuple[Steps, ...]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, self._hw(tensor).out_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("staircase", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> StaircaseHw:
        if len(self.steps) != tensor.channels:
            raise ValueError(f"channels must be {len(self.steps)}, not {tensor.channels}")
        return StaircaseHw(self.steps, tensor.ranges, tensor.positions)


@dataclass(frozen=True)
class MaxPool:
    """The largest code under the kernel, for each channel; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        _, window = self._parts(tensor)
        return Tensor(window.out_height, window.out_width, tensor.ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        pad, window = self._parts(tensor)
        pool = MaxPoolHw(tensor.channels, window.taps, window.out_range, window.beats_out)
        return (*pad, ("window", window), ("maxpool", pool))

    def _parts(self, tensor: Tensor) -> tuple[Chain, Window]:
        for axis, size in enumerate(("height", "width")):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            before, after = self.padding[axis], self.padding[axis + 2]
            if max(before, after) >= reach:
                raise ValueError(
                    f"padding of the {size} must be less than the kernel reaches ({reach}), "
                    f"not {max(before, after)}: the maximum of nothing is not a number"
                )
            first = np.arange(-before, tensor.shape[axis] + after - reach + 1, self.stride[axis])
            taps = first[:, None] + self.dilation[axis] * np.arange(self.kernel[axis])
            if not ((taps >= 0) & (taps < tensor.shape[axis])).any(axis=1).all():
                raise ValueError(
                    f"each window must see a part of the {size}, and not all does with padding "
                    f"{before} and {after} and dilation {self.dilation[axis]}: the maximum of "
                    "nothing is not a number"
                )
        return _window(self, tensor, tensor.range.lo)


@dataclass(frozen=True)
class SumPool:
    """The sum under kernels that do not overlap; incomplete ones at the edges are dropped."""

    kernel: tuple[int, int]

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        count = self.kernel[0] * self.kernel[1]
        self._hw(tensor)
        return Tensor(
            tensor.height // self.kernel[0],
            tensor.width // self.kernel[1],
            tuple(r * count for r in tensor.ranges),
        )

    def lower(self, *inputs: Tensor) -> Chain:
        return (("sumpool", self._hw(*inputs)),)

    def _hw(self, tensor: Tensor) -> SumPoolHw:
        return SumPoolHw(tensor.height, tensor.width, tensor.channels, tensor.range, self.kernel)


@dataclass(frozen=True)
class Add:
    """The sum of ``factors[k]`` times the k-th of several tensors of one shape."""

    factors: tuple[int, ...] = (1, 1)

    def infer(self, *inputs: Tensor) -> Tensor:
        return Tensor(inputs[0].height, inputs[0].width, self._hw(inputs).row_ranges)

    def lower(self, *inputs: Tensor) -> Chain:
        return (("add", self._hw(inputs)),)

    def _hw(self, inputs: tuple[Tensor, ...]) -> AddHw:
        shapes = {tensor.shape for tensor in inputs}
        if len(shapes) > 1:
            raise ValueError(f"all shapes must be equal, not {' and '.join(map(str, shapes))}")
        ranges = tuple(tensor.ranges for tensor in inputs)
        return AddHw(ranges, self.factors, inputs[0].positions)


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
        parts = tuple(_beat(tensor) for tensor in inputs)
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
        beat = _beat(tensor)
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
        return PadHw(tensor.height, tensor.width, _beat(tensor), stride=self.stride)


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
        return (("resize", ResizeHw(tensor.height, tensor.width, _beat(tensor), self.factor)),)


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
        hw = DepthToSpaceHw(tensor.height, tensor.width, _beat(tensor), self.block)
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
class ArgMax:
    """The number of the largest channel at each position; of equal ones the first (``last``)."""

    last: bool = False

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(tensor.height, tensor.width, (Range(0, tensor.channels - 1),))

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        return (("argmax", ArgMaxHw(_beat(tensor), self.last, tensor.positions)),)


@dataclass(frozen=True)
class Flatten:
    """All positions side by side as channels of one: row, column, channel innermost."""

    def infer(self, *inputs: Tensor) -> Tensor:
        (tensor,) = inputs
        return Tensor(1, 1, tensor.ranges * tensor.positions)

    def lower(self, *inputs: Tensor) -> Chain:
        (tensor,) = inputs
        beat = Beat(tensor.range, tensor.channels)
        return (("flatten", FlattenHw(beat, tensor.positions)),)
