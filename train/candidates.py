"""The end of a detector on a chip: records of the few positions that are worth decoding.

:func:`sqwire.train.prepare` knows :class:`Candidates` and takes it into the frozen network;
:func:`sqwire.boxes.decode` reads its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .coded import Coded
from .layers import real
from .ops import Bounds

__all__ = ["Candidates", "Chosen", "Records", "candidates", "first_code"]


def candidates(
    x: Tensor, count: int, channels: Sequence[int], thresholds: Sequence[float]
) -> Tensor:
    """The first ``count`` positions, in raster order, where a channel reaches its threshold.

    ``o[n, :, 0, m] = (p, x[n, :, p])`` for the m-th such position ``p``, a number in raster order;
    ``(-1, 0, 0, ...)`` where there are fewer. Later ones are dropped. Shapes: (frames, channels,
    height, width), out (frames, 1 + channels, 1, count).

    Raises
    ------
    ValueError
        If there are fewer positions than ``count``, or no such channel.
    """
    flat = x.flatten(2)
    own, positions = flat.shape[1:]
    if count > positions or max(channels) >= own:
        raise ValueError(
            f"Candidates: count must be at most {positions} and channels 0 to {own - 1} for a map "
            f"of shape {tuple(x.shape[1:])}, not {count} and {tuple(channels)}"
        )
    limits = torch.tensor(thresholds, dtype=torch.float64)[:, None]
    reached = (flat[:, list(channels)].double() >= limits.to(x.device)).any(1)
    order = torch.arange(positions, device=x.device).where(reached, positions)
    at = order.sort(1).values[:, :count]
    some = at < positions
    number = at.where(some, -1).to(x.dtype)
    wanted = at.clamp(max=positions - 1)[:, None].expand(-1, own, -1)
    codes = flat.gather(2, wanted).where(some[:, None], 0)
    return torch.cat([number[:, None], codes], 1)[:, :, None]


class Candidates(nn.Module):
    """Behind the head of a detector: the map in training, records of candidates in evaluation.

    A position is a candidate where one of ``channels`` (objectness, as a logit) is at least
    ``threshold``; see :func:`candidates` for the records. Frozen, the threshold is one of
    accumulators, and the channels of empty records, which mean nothing, are the head's bias.

    Raises
    ------
    ValueError
        If ``count`` is below one, or ``channels`` are not some different ones.
    """

    def __init__(self, count: int, threshold: float, channels: Sequence[int] = (4,)):
        super().__init__()
        if count < 1:
            raise ValueError(f"Candidates: count must be at least 1, not {count}")
        if not channels or len(set(channels)) < len(channels) or min(channels) < 0:
            raise ValueError(
                f"Candidates: channels must be some different ones, not {tuple(channels)}"
            )
        self.count, self.threshold, self.channels = count, float(threshold), tuple(channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x
        return candidates(x, self.count, self.channels, [self.threshold] * len(self.channels))


class Records(nn.Module):
    """A :class:`Candidates` in a network in training."""

    def __init__(self, source: Candidates):
        super().__init__()
        self.source = source

    def forward(self, x: Coded | Tensor) -> Tensor:
        result: Tensor = self.source(real(x))
        return result


@dataclass(frozen=True)
class Chosen:
    """The first ``count`` of ``positions`` where a channel reaches its threshold, a code."""

    positions: int
    count: int
    channels: tuple[int, ...]
    thresholds: tuple[int, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return candidates(inputs[0], self.count, self.channels, self.thresholds)

    def bounds(self, *inputs: Bounds) -> Bounds:
        low, high = np.minimum(inputs[0].low, 0), np.maximum(inputs[0].high, 0)
        return Bounds(np.append(-1, low), np.append(self.positions - 1, high))


def first_code(
    gain: NDArray[np.float32], bias: NDArray[np.float32], threshold: float, low: int, high: int
) -> int:
    """The least of ``low`` to ``high`` that stands for ``threshold`` or more, else ``high + 1``.

    Code ``k`` stands for ``gain * k + bias`` in float32, which only rises.
    """
    high += 1
    while low < high:
        middle = (low + high) // 2
        if float(gain * np.float32(middle) + bias) >= threshold:
            high = middle
        else:
            low = middle + 1
    return low
