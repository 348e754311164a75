"""The edge of the graph: real arrays as the ONNX file has them, integer codes as the circuit does.

What happens here happens on the host, before the first and after the last integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ranges import Range

from .ops import Tensor

__all__ = ["TAILS", "Input", "Output", "source_of"]

Int = NDArray[np.int64]
Layout = Literal["CHW", "HWC"]


def _sizes(shape: tuple[int, ...], layout: Layout) -> tuple[int, int, int]:
    """(height, width, channels) of an array of ``shape``; one line where an axis is missing."""
    channels, positions = shape[0], shape[1:]
    if layout == "HWC":
        channels, positions = shape[-1], shape[:-1]
    height, width = (1, 1, *positions)[-2:]
    return height, width, channels


def _to_codes(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """(frames, *shape) as (frames, height, width, channels)."""
    height, width, channels = _sizes(array.shape[1:], layout)
    if layout == "HWC":
        return np.ascontiguousarray(array.reshape(len(array), height, width, channels))
    frames = array.reshape(len(array), channels, height, width)
    return np.ascontiguousarray(frames.transpose(0, 2, 3, 1))


def source_of(name: str) -> str:
    """The name by which nodes refer to the input called ``name``."""
    return f"input:{name}"


@dataclass(frozen=True)
class Input:
    """An input of the network: ``code = clip(round_half_even(x / scale), lo, hi)``.

    ``shape`` is that of one frame as the ONNX graph takes it: (channels, height, width) in
    layout "CHW", (height, width, channels) in layout "HWC". ``scale`` is exact: a float32 that the
    file holds.

    Where the graph does more before its first quantizer, or rounds by another rule,
    ``steps`` holds for each channel (or once for all) the pair ``thresholds, levels``:
    ``code = levels[k]`` where ``k`` is how many thresholds, all of them float32, are ``<= x``.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    range: Range
    layout: Layout = "CHW"
    steps: tuple[tuple[tuple[float, ...], tuple[int, ...]], ...] = ()

    @property
    def source(self) -> str:
        """The name by which nodes refer to it."""
        return source_of(self.name)

    @property
    def tensor(self) -> Tensor:
        """The codes as the graph takes them."""
        height, width, channels = _sizes(self.shape, self.layout)
        if not self.steps:
            return Tensor(height, width, (self.range,) * channels)
        ranges = tuple(Range(min(levels), max(levels)) for _, levels in self.steps)
        return Tensor(height, width, ranges * (channels // len(ranges)))

    def quantize(self, x: NDArray[np.generic], *, saturate: bool = True) -> Int:
        """Codes (frames, height, width, channels) for real values (frames, *shape).

        Raises
        ------
        ValueError
            If the shape or the type is wrong, a value is not finite or, unless ``saturate``,
            lies more than half a step outside the range of the codes (where there are no
            ``steps``, which are defined everywhere).
        """
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise ValueError(f'Input "{self.name}": values must be numbers, not {x.dtype}')
        if x.shape[1:] != self.shape:
            raise ValueError(
                f'Input "{self.name}": shape must be (frames, '
                f"{', '.join(map(str, self.shape))}), not {x.shape}"
            )
        self._refuse(x, ~np.isfinite(x), "finite")
        if self.steps:
            with np.errstate(over="ignore"):  # what is too large is behind the last step
                return self._step(_to_codes(x.astype(np.float32), self.layout))
        with np.errstate(over="ignore"):  # what is too large is outside the range
            real = x.astype(np.float64) / self.scale
        if not saturate:
            low, high = (self.range.lo - 0.5) * self.scale, (self.range.hi + 0.5) * self.scale
            outside = (real < self.range.lo - 0.5) | (real > self.range.hi + 0.5)
            self._refuse(x, outside, f"between {low:g} and {high:g}")
        codes = np.clip(np.rint(real), self.range.lo, self.range.hi).astype(np.int64)
        return _to_codes(codes, self.layout)

    def _step(self, x: NDArray[np.float32]) -> Int:
        """Codes of values (frames, height, width, channels)."""
        own = [(np.array(t, np.float32), np.array(v, np.int64)) for t, v in self.steps]
        if len(own) == 1:
            return own[0][1][np.searchsorted(own[0][0], x, side="right")]
        columns = [v[np.searchsorted(t, x[..., c], side="right")] for c, (t, v) in enumerate(own)]
        return np.stack(columns, axis=-1)

    def _refuse(self, x: NDArray[np.generic], bad: NDArray[np.bool_], rule: str) -> None:
        if bad.any():
            at = tuple(int(k) for k in np.argwhere(bad)[0])
            raise ValueError(
                f'Input "{self.name}": values must be {rule}, not {x[at]} at {list(at)}; '
                "scale the data as in training"
            )

    def check(self, codes: Int) -> None:
        """Refuse codes of the wrong shape or outside the range."""
        if codes.ndim != 4 or codes.shape[1:] != self.tensor.shape:
            raise ValueError(
                f'Input "{self.name}": codes must be (frames, '
                f"{', '.join(map(str, self.tensor.shape))}), not {codes.shape}"
            )
        self._refuse(
            codes,
            (codes < self.range.lo) | (codes > self.range.hi),
            f"codes from {self.range.lo} to {self.range.hi}",
        )


# How far from a whole code a float32 reference may be: some hundredths of a code, and float32's
# own error in the terms it was summed from. What is farther off stands for no code.
_OFF_GRID = 0.02
_FLOAT32 = 2.0**-18


def _softmax(real: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.exp(real - real.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def _log_softmax(real: NDArray[np.float64]) -> NDArray[np.float64]:
    least = real - real.max(axis=-1, keepdims=True)
    return least - np.log(np.exp(least).sum(axis=-1, keepdims=True))


TAILS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "ArgMax": lambda real: real.argmax(axis=-1, keepdims=True).astype(np.float64),
    "LogSoftmax": _log_softmax,
    "Relu": lambda real: np.maximum(real, 0),
    "Sigmoid": lambda real: 1 / (1 + np.exp(-real)),
    "Softmax": _softmax,
    "Tanh": np.tanh,
}
"""What the host can do to real values (frames, height, width, channels) after the last integer."""


@dataclass(frozen=True)
class Output:
    """An output of the network: ``y = scale[c] * code + offset[c]``, and ``tail`` of that.

    ``node`` is the node that gives the codes, or the ``source`` of an input. ``shape`` is that of
    one frame as the ONNX graph gives it: (channels,) or (channels, height, width) in layout "CHW",
    (height, width, channels) in layout "HWC". ``tail`` names one of
    :data:`TAILS`, or nothing.
    """

    name: str
    node: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    layout: Layout = "CHW"
    tail: str = ""

    def check(self, tensor: Tensor) -> None:
        """Refuse a tensor that does not fit."""
        channels = 1 if self.tail == "ArgMax" else tensor.channels
        if int(np.prod(self.shape)) != tensor.positions * channels:
            raise ValueError(
                f'Output "{self.name}": shape must hold {tensor.shape}, not {self.shape}'
            )

    def dequantize(self, codes: Int) -> NDArray[np.float32]:
        """Real values (frames, *shape) of codes (frames, height, width, channels)."""
        real = codes * np.array(self.scale) + np.array(self.offset)
        if self.tail:
            with np.errstate(over="ignore"):
                real = TAILS[self.tail](real)
        if self.layout == "CHW":
            real = real.transpose(0, 3, 1, 2)
        return real.reshape(len(codes), *self.shape).astype(np.float32)

    def codes(self, y: NDArray[np.generic], tensor: Tensor) -> Int:
        """The codes nearest to real values ``y``; the inverse of :meth:`dequantize`.

        Raises
        ------
        ValueError
            If the shape is wrong, a value stands for no code (beyond what float32 sums may err),
            or there is a ``tail``, which has no inverse.
        """
        if self.tail:
            raise ValueError(
                f'Output "{self.name}": codes must be known without {self.tail}, '
                "which has no inverse; compare with `matches`"
            )
        real = self._codes(self._frames(y, tensor))
        codes = np.rint(real)
        scale = np.array(self.scale)
        terms = np.abs(codes) + np.abs(np.array(self.offset) / np.where(scale == 0, 1, scale))
        off = ~(np.abs(real - codes) <= _OFF_GRID + terms * _FLOAT32)
        if off.any():
            frame, row, column, channel = (int(k) for k in np.argwhere(off)[0])
            raise ValueError(
                f'Output "{self.name}": reference values must be scale * code + offset of whole '
                f"codes, not of code {real[frame, row, column, channel]:g} in frame {frame}, "
                f"row {row}, column {column}, channel {channel}; are they of this network?"
            )
        return codes.astype(np.int64)

    def matches(self, codes: Int, y: NDArray[np.generic], tensor: Tensor) -> NDArray[np.bool_]:
        """Where ``codes`` are those that real values ``y`` stand for: (frames, ..., channels).

        Behind a softmax, ``y`` says how codes differ from the largest one, and where it is too
        small for float32 only that they are far below. Behind another tail, codes match that
        give ``y`` to float32 precision.
        """
        if not self.tail:
            return (self.codes(y, tensor) == codes) | (np.array(self.scale) == 0)
        frames = self._frames(y, tensor)
        real = codes * np.array(self.scale) + np.array(self.offset)
        if self.tail in ("Softmax", "LogSoftmax"):
            with np.errstate(divide="ignore"):
                log = np.log(frames) if self.tail == "Softmax" else frames
            step = np.abs(np.array(self.scale))
            want, have = (v - v.max(axis=-1, keepdims=True) for v in (log, real))
            far = (want < -79) & (have < -80)
            return (step == 0) | (np.abs(want - have) < step / 2) | far
        with np.errstate(over="ignore"):
            expected = TAILS[self.tail](real)
        return np.broadcast_to(np.isclose(expected, frames, rtol=1e-5, atol=1e-6), codes.shape)

    def positions(self, tensor: Tensor) -> Int:
        """Where the value of each code (height, width, channels) lies in a flat frame of them."""
        flat = np.arange(int(np.prod(self.shape))).reshape(1, *self.shape)
        return self._frames(flat, tensor)[0].astype(np.int64)

    def _codes(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """Real codes; where the scale is 0, every code stands for the offset: 0."""
        scale = np.array(self.scale)
        safe = np.where(scale == 0, 1, scale)
        return np.where(scale == 0, 0, (frames - np.array(self.offset)) / safe)

    def _frames(self, y: NDArray[np.generic], tensor: Tensor) -> NDArray[np.float64]:
        """Real values (frames, *shape) as (frames, height, width, channels)."""
        if y.shape[1:] != self.shape:
            raise ValueError(
                f'Output "{self.name}": shape must be (frames, '
                f"{', '.join(map(str, self.shape))}), not {y.shape}"
            )
        channels = 1 if self.tail == "ArgMax" else tensor.channels
        real = y.astype(np.float64)
        if self.layout == "HWC":
            return real.reshape(len(y), tensor.height, tensor.width, channels)
        frames = real.reshape(len(y), channels, tensor.height, tensor.width)
        return frames.transpose(0, 2, 3, 1)
