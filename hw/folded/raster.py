"""Which positions of the input an output position reads, as steps along the raster."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Raster"]


@dataclass(frozen=True)
class Raster:
    """A kernel that moves over frames of ``height`` x ``width`` positions.

    Positions of all frames are numbered in a row, row by row. An output position has a ``base``,
    the number of the position under the kernel's first place (which may lie in the padding, and
    is then some other position or a negative number); place ``(ky, kx)`` is ``offset`` behind it.

    Raises
    ------
    ValueError
        If a size, stride or dilation is below one, a padding is negative or reaches as far as
        the kernel, or it makes more output rows (columns) than the input has.
    """

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self):
        for what in ("height", "width"):
            if getattr(self, what) < 1:
                raise ValueError(f"Folded: {what} must be at least 1, not {getattr(self, what)}")
        for what in ("kernel", "stride", "dilation"):
            if min(getattr(self, what)) < 1:
                raise ValueError(f"Folded: {what} must be at least 1, not {getattr(self, what)}")
        for axis, size in enumerate((self.height, self.width)):
            before, after = self.padding[axis], self.padding[axis + 2]
            reach = (self.kernel[axis] - 1) * self.dilation[axis]
            name = ("height", "width")[axis]
            if min(before, after) < 0 or max(before, after) > reach:
                raise ValueError(
                    f"Folded: padding of the {name} must be 0..{reach} (what the kernel reaches), "
                    f"not {before} and {after}"
                )
            if reach + 1 > size + before + after:
                raise ValueError(
                    f"Folded: the kernel reaches over {reach + 1} positions but the padded {name} "
                    f"is {size + before + after}; pad more or use a smaller kernel"
                )
            if (self._out(axis) - 1) * self.stride[axis] >= size:
                raise ValueError(
                    f"Folded: padding {self.padding} makes more outputs than the {name} "
                    f"({size}) has positions; pad less or put a stage for padding in front"
                )

    def _out(self, axis):
        size = (self.height, self.width)[axis] + self.padding[axis] + self.padding[axis + 2]
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return (size - reach) // self.stride[axis] + 1

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self._out(0)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self._out(1)

    @property
    def inputs(self) -> int:
        """Input positions a frame."""
        return self.height * self.width

    @property
    def outputs(self) -> int:
        """Output positions a frame."""
        return self.out_height * self.out_width

    @property
    def lead(self) -> int:
        """How far the first base lies before the frame."""
        return self.padding[0] * self.width + self.padding[1]

    @property
    def reach(self) -> int:
        """Positions from a base to the last one under the kernel, both counted."""
        return self.offset(self.kernel[0] - 1, self.kernel[1] - 1) + 1

    def offset(self, ky: int, kx: int) -> int:
        """Positions from a base to that under a place of the kernel."""
        return ky * self.dilation[0] * self.width + kx * self.dilation[1]

    @property
    def steps(self) -> tuple[int, int, int]:
        """How far the base moves: to the next column, the next row, the next frame."""
        column = self.stride[1]
        row = self.stride[0] * self.width - (self.out_width - 1) * column
        last = (self.out_height - 1) * self.stride[0] * self.width + (self.out_width - 1) * column
        return column, row, self.inputs - last

    @cached_property
    def bases(self) -> np.ndarray:
        """Base of each output position of the first frame."""
        rows = np.arange(self.out_height)[:, None] * self.stride[0] * self.width
        columns = np.arange(self.out_width)[None, :] * self.stride[1]
        return (rows + columns).reshape(-1) - self.lead

    @cached_property
    def needs(self) -> np.ndarray:
        """How many positions of the frame must be there for each output position to start.

        All up to the last one under the kernel, or all: those in the padding are counted too.
        """
        return np.minimum(self.bases + self.reach, self.inputs)

    def outside(self, axis: int, place: int) -> tuple[int, int]:
        """Output rows (columns) below the first or above the second number have it in the padding.

        ``place`` is a row (column) of the kernel.
        """
        size, stride = (self.height, self.width)[axis], self.stride[axis]
        shift = place * self.dilation[axis] - self.padding[axis]
        lowest = -(shift // stride) if shift < 0 else 0
        highest = (size - 1 - shift) // stride
        return lowest, min(highest, self._out(axis) - 1)
