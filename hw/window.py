"""Sliding window: a raster of positions in, the neighbourhood of each output position out."""

from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from .beat import Beat
from .delay import delay_stores
from .folded.memory import Store
from .network import departures
from .pace import not_before
from .ranges import Range
from .window_circuit import WindowCircuit

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """All codes that a kernel covers, one output position a transfer.

    ``o[r, c, (i, j, ch)] = x[r*sh - top + i*dh, c*sw - left + j*dw, ch]``, and ``pad_code``
    where that lies outside the frame. Lanes of the output: tap row, tap column, channel innermost.

    Shapes: in ``(height * width, channels)``, out ``(out_height * out_width, taps * channels)``.

    Timing: one input beat a cycle, also across frames; padding costs no cycle while the next frame
    follows, and otherwise the last outputs drain by themselves. An output is valid two cycles
    after the beat that completes it.

    Source: the frame is one line of ``height * width`` positions in which every tap has a
    fixed delay, so one chain of registers and memories serves all rows; taps that fall over an
    edge are masked by the position of the window.

    Raises
    ------
    ValueError
        If a size, stride or dilation is below one, a padding is negative, the kernel does not
        fit into the padded frame, or the padding makes more output rows (columns) than the input
        has positions for.
    """

    height: int
    width: int
    channels: int
    range: Range
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right, in positions."""
    dilation: tuple[int, int] = (1, 1)
    pad_code: int = 0

    def __post_init__(self):
        for what in ("height", "width", "channels"):
            if getattr(self, what) < 1:
                raise ValueError(f"Window: {what} must be at least 1, not {getattr(self, what)}")
        for what in ("kernel", "stride", "dilation"):
            if min(getattr(self, what)) < 1:
                raise ValueError(f"Window: {what} must be at least 1, not {getattr(self, what)}")
        if min(self.padding) < 0:
            raise ValueError(f"Window: padding must not be negative, not {self.padding}")
        for axis, size in enumerate((self.height, self.width)):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            padded = size + self.padding[axis] + self.padding[axis + 2]
            name = ("height", "width")[axis]
            if reach > padded:
                raise ValueError(
                    f"Window: the kernel reaches over {reach} positions but the padded {name} "
                    f"is {padded}; pad more or use a smaller kernel"
                )
            if (padded - reach) // self.stride[axis] * self.stride[axis] >= size:
                raise ValueError(
                    f"Window: padding {self.padding} makes more outputs than the {name} "
                    f"({size}) has positions; pad less than the kernel reaches"
                )

    @property
    def taps(self) -> int:
        """Positions the kernel covers."""
        return self.kernel[0] * self.kernel[1]

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self._out_size(0)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self._out_size(1)

    def _out_size(self, axis):
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        size = (self.height, self.width)[axis] + self.padding[axis] + self.padding[axis + 2]
        return (size - reach) // self.stride[axis] + 1

    @property
    def out_range(self) -> Range:
        """Range of the output: that of the input, and ``pad_code`` where there is padding."""
        if any(self.padding):
            return Range.span([self.range, Range(self.pad_code, self.pad_code)])
        return self.range

    @property
    def inputs(self):
        return (Beat(self.range, self.channels),)

    @property
    def outputs(self):
        return (Beat(self.out_range, self.taps * self.channels),)

    @property
    def beats_in(self) -> int:
        return self.height * self.width

    @property
    def beats_out(self) -> int:
        return self.out_height * self.out_width

    latency_cycles = 2

    @property
    def offsets(self) -> dict[tuple[int, int], int]:
        """For each tap that can lie inside the frame, its distance from the anchor.

        The anchor of output ``(r, c)`` is position ``(r*sh, c*sw)``, which is always inside;
        the distance is in raster order, positive for positions that come later.
        """
        rows = [i for i in range(self.kernel[0]) if self._ever_inside(0, i)]
        columns = [j for j in range(self.kernel[1]) if self._ever_inside(1, j)]
        return {
            (i, j): self._shift(0, i) * self.width + self._shift(1, j)
            for i in rows
            for j in columns
        }

    @property
    def places(self) -> list[int]:
        """Shifts after which the chain of registers and memories is looked at, in order."""
        return sorted({self.lookahead - offset for offset in self.offsets.values()})

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memories, as synthesis makes them."""
        gaps = zip([-1, *self.places], self.places, strict=False)
        bits = self.channels * self.range.bits
        return tuple(s for a, b in gaps for s in delay_stores(f"slot_{b}", b - a, bits))

    def _shift(self, axis, tap):
        return tap * self.dilation[axis] - self.padding[axis]

    def _ever_inside(self, axis, tap):
        size = (self.height, self.width)[axis]
        first = self._shift(axis, tap)
        return any(
            0 <= at < size
            for at in range(
                first, first + self._out_size(axis) * self.stride[axis], self.stride[axis]
            )
        )

    def inside(self, axis: int, tap: int) -> tuple[int, int] | None:
        """The first and last anchor row (column) whose tap lies inside; None if of all it does."""
        size, shift = (self.height, self.width)[axis], self._shift(axis, tap)
        lowest, highest = max(0, -shift), size - 1 - max(0, shift)
        return None if lowest == 0 and self.ends[axis] <= highest else (lowest, highest)

    @property
    def ends(self) -> tuple[int, int]:
        """The last anchor row and column."""
        rows, columns = (self._out_size(axis) - 1 for axis in (0, 1))
        return rows * self.stride[0], columns * self.stride[1]

    @property
    def lookahead(self) -> int:
        """Input beats after the anchor's own that must have come before an output is complete."""
        return max(0, *self.offsets.values()) if self.offsets else 0

    def needs(self) -> np.ndarray:
        return np.minimum(self.steady_needs(), self.beats_in)

    def steady_needs(self) -> np.ndarray:
        """Like :meth:`needs` where the next frame has begun: its beats push the last outputs out.

        These are the shifts of the chain until each output is complete; without
        a next frame the chain shifts by itself.
        """
        rows = np.arange(self.out_height)[:, None] * self.stride[0] * self.width
        columns = np.arange(self.out_width)[None, :] * self.stride[1]
        return (rows + columns).reshape(-1) + self.lookahead + 1

    def drain_cycles(self) -> np.ndarray:
        """Cycles by which each output comes later when no frame follows: the tail drains."""
        return np.maximum(self.steady_needs() - self.beats_in, 0)

    def takes(self, offered, sink) -> np.ndarray:
        """The cycle in which each input beat is taken, at the latest, where outputs wait.

        ``offered`` is when the beats come, of whole frames one after the other; ``sink`` says of
        cycles in which outputs are valid in which ones it takes them. A beat waits while an output
        does that one before it completed, not for the outputs that it helps to complete. Where the
        last outputs of a frame are still there when the next frame begins, and its beats push
        them out, it may be a few cycles more.
        """
        offered, leave = np.asarray(offered), np.zeros(0)
        taken = offered
        while True:
            later = sink(departures(self, taken))
            if np.array_equal(later, leave):
                return taken
            # Beats that wait complete their outputs later, for which others may have to wait.
            leave = later
            taken = np.maximum(taken, self._taken_behind(offered, leave))

    def _taken_behind(self, offered, leave):
        """When beats are taken if outputs leave in ``leave``."""
        offered = offered.reshape(-1, self.beats_in)
        leave = leave.reshape(-1, self.beats_out)
        behind = np.searchsorted(self.steady_needs(), np.arange(self.beats_in), side="right") - 1
        first = np.count_nonzero(behind < 0)
        taken = offered.copy()
        taken[:, first:] = np.maximum(offered[:, first:], leave[:, behind[first:]])
        # The first beats of a frame find the last outputs of the one before: as each of these
        # leaves one beat comes, and all others as they are offered.
        for frame in range(1, len(taken)):
            earliest = np.maximum(offered[frame, :first], taken[frame - 1, -1] + 1)
            output = not_before(np.searchsorted(leave[frame - 1], earliest), np.arange(first))
            waited_for = np.append(leave[frame - 1], 0)[np.minimum(output, self.beats_out)]
            taken[frame, :first] = np.maximum(earliest, waited_for)
        return not_before(taken.reshape(-1), np.arange(taken.size))

    def compute(self, x):
        x = np.asarray(x, dtype=np.int64).reshape(-1, self.height, self.width, self.channels)
        top, left, bottom, right = self.padding
        x = np.pad(
            x,
            ((0, 0), (top, bottom), (left, right), (0, 0)),
            constant_values=self.pad_code,
        )
        (dh, dw), (sh, sw) = self.dilation, self.stride
        rows, columns = self.out_height, self.out_width
        taps = [
            x[:, i * dh :, j * dw :][:, : (rows - 1) * sh + 1 : sh, : (columns - 1) * sw + 1 : sw]
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        ]
        return np.stack(taps, axis=3).reshape(len(x), rows * columns, self.taps * self.channels)

    def create(self) -> wiring.Component:
        return WindowCircuit(self)
