"""The edge of the graph: real arrays as the ONNX file has them, integer codes as the circuit does.

What happens here happens on the host, before the first and after the last integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sqwire.hw.ranges import Range

from .ops import Tensor

__all__ = ["Input", "Output"]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Input:
    """The network's input: ``code = clip(round_half_even(x / scale), lo, hi)``.

    ``shape`` is that of one frame as the ONNX graph takes it: (channels, height, width).
    ``scale`` is exact: a float32 that the file holds.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    range: Range

    @property
    def tensor(self) -> Tensor:
        """The codes as the graph takes them."""
        channels, height, width = (*self.shape, 1, 1)[:3]
        return Tensor(height, width, (self.range,) * channels)

    def quantize(self, x: NDArray[np.generic], *, saturate: bool = True) -> Int:
        """Codes (frames, height, width, channels) for real values (frames, *shape).

        Raises
        ------
        ValueError
            If the shape or the type is wrong, a value is not finite or, unless ``saturate``,
            lies more than half a step outside the range of the codes.
        """
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise ValueError(f'Input "{self.name}": values must be numbers, not {x.dtype}')
        if x.shape[1:] != self.shape:
            raise ValueError(
                f'Input "{self.name}": shape must be (frames, '
                f"{', '.join(map(str, self.shape))}), not {x.shape}"
            )
        real = x.astype(np.float64) / self.scale
        self._refuse(x, ~np.isfinite(real), "finite")
        if not saturate:
            low, high = (self.range.lo - 0.5) * self.scale, (self.range.hi + 0.5) * self.scale
            outside = (real < self.range.lo - 0.5) | (real > self.range.hi + 0.5)
            self._refuse(x, outside, f"between {low:g} and {high:g}")
        codes = np.clip(np.rint(real), self.range.lo, self.range.hi).astype(np.int64)
        frames = codes.reshape(len(codes), *(*self.shape, 1, 1)[:3])
        return np.ascontiguousarray(frames.transpose(0, 2, 3, 1))

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


@dataclass(frozen=True)
class Output:
    """The network's output: ``y = scale[c] * code + offset[c]``.

    ``shape`` is that of one frame as the ONNX graph gives it: (channels,) or
    (channels, height, width).
    """

    name: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def check(self, tensor: Tensor) -> None:
        """Refuse a tensor that does not fit."""
        if int(np.prod(self.shape)) != tensor.positions * tensor.channels:
            raise ValueError(
                f'Output "{self.name}": shape must hold {tensor.shape}, not {self.shape}'
            )

    def dequantize(self, codes: Int) -> NDArray[np.float32]:
        """Real values (frames, *shape) of codes (frames, height, width, channels)."""
        real = codes * np.array(self.scale) + np.array(self.offset)
        return real.transpose(0, 3, 1, 2).reshape(len(codes), *self.shape).astype(np.float32)

    def codes(self, y: NDArray[np.generic], tensor: Tensor) -> Int:
        """The codes nearest to real values ``y``; the inverse of :meth:`dequantize`."""
        if y.shape[1:] != self.shape:
            raise ValueError(
                f'Output "{self.name}": shape must be (frames, '
                f"{', '.join(map(str, self.shape))}), not {y.shape}"
            )
        frames = y.reshape(len(y), tensor.channels, tensor.height, tensor.width)
        real = frames.transpose(0, 2, 3, 1).astype(np.float64)
        return np.rint((real - np.array(self.offset)) / np.array(self.scale)).astype(np.int64)
