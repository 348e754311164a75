"""Where two tensors of integers differ first, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "first_difference"]

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """The first integer that is not as it must be, in the order in which they leave the circuit."""

    layer: str
    frame: int
    position: int
    channel: int
    got: int | None
    """None where nothing came."""
    want: int
    width: int | None = None
    """Positions in a row of the frame, where known."""
    count: int = 1
    """How many integers differ in all, missing ones not counted."""

    def __str__(self) -> str:
        where = f"position {self.position}"
        if self.width:
            where = f"row {self.position // self.width}, column {self.position % self.width}"
        what = "missing" if self.got is None else str(self.got)
        more = f" ({self.count} integers differ in all)" if self.count > 1 else ""
        return (
            f'Layer "{self.layer}", frame {self.frame}, {where}, channel {self.channel}: '
            f"{what}, must be {self.want}{more}"
        )


def first_difference(
    name: str, got: Int, want: Int, *, width: int | None = None
) -> Difference | None:
    """The first difference between two tensors, None if there is none.

    ``want`` is ``(frames, positions, channels)`` or ``(frames, rows, columns, channels)``, from
    which the width is taken. ``got`` has the same shape, or is ``(transfers, channels)``: the
    positions of all frames one behind the other. It may end earlier, in which case
    what comes first behind its end is missing. Its transfers may hold some channels of a position
    each; what is not a whole position at its end does not count.

    Raises
    ------
    ValueError
        If the channels differ or ``got`` has more positions than ``want``.
    """
    if want.ndim == 4:
        width = want.shape[2]
        want = want.reshape(len(want), -1, want.shape[3])
    frames, positions, channels = want.shape
    flat = got.reshape(-1, got.shape[-1])
    if flat.shape[1] < channels and channels % flat.shape[1] == 0:
        whole = flat.size // channels
        flat = flat.reshape(-1)[: whole * channels].reshape(whole, channels)
    if flat.shape[1] != channels or len(flat) > frames * positions:
        raise ValueError(
            f'first_difference: "{name}" must be at most {frames * positions} positions of '
            f"{channels} channels, not {len(flat)} of {flat.shape[1]}"
        )
    wrong = flat != want.reshape(-1, channels)[: len(flat)]
    at: int | None = None
    if wrong.any():
        at, channel = divmod(int(wrong.argmax()), channels)
    elif len(flat) < frames * positions:
        at, channel = len(flat), 0
    if at is None:
        return None
    frame, position = divmod(at, positions)
    return Difference(
        layer=name,
        frame=frame,
        position=position,
        channel=channel,
        got=int(flat[at, channel]) if at < len(flat) else None,
        want=int(want[frame, position, channel]),
        width=width,
        count=int(np.count_nonzero(wrong)),
    )
