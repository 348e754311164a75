"""Parts of frames: what stands before their codes, and what the board answers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .codec import PART_HEAD_BYTES, RESULT_HEAD_BYTES

__all__ = ["Part", "Taken", "result_part"]

_PART, _TAKEN, _RESULT = struct.Struct("<IBB"), struct.Struct("<BBBB"), struct.Struct("<I")
assert (_PART.size, _RESULT.size) == (PART_HEAD_BYTES, RESULT_HEAD_BYTES)


@dataclass(frozen=True)
class Part:
    """A part of a frame on its way to the board: payload of ``Kind.PART``.

    The sequence number of its message is that of its frame::

        offset  bytes
        0       4     index: which part of its frame it is, from 0
        4       1     number: which part it is since the reset, modulo 256
        5       1     round: how often the host has gone back since the reset, modulo 256
        6       rest  codes
    """

    index: int
    number: int
    round: int
    codes: bytes

    def pack(self) -> bytes:
        """The payload."""
        return _PART.pack(self.index, self.number % 256, self.round % 256) + self.codes

    @classmethod
    def unpack(cls, payload: bytes) -> Part:
        """The part in a payload; ValueError if it is none."""
        if len(payload) < PART_HEAD_BYTES:
            raise ValueError(f"Part: it must have {PART_HEAD_BYTES} bytes, not {len(payload)}")
        index, number, turn = _PART.unpack_from(payload)
        return cls(index, number, turn, payload[PART_HEAD_BYTES:])


@dataclass(frozen=True)
class Taken:
    """Where the board stands: payload of ``Kind.TAKEN``, each a byte.

    ``taken`` parts were fed to the network since the reset, so their room is free again, and
    ``next`` is the number of the part that it waits for, both modulo 256. Of the last part that
    came whole: its ``round``, and whether it was ``early``, one before it being lost.
    """

    taken: int
    next: int
    round: int
    early: bool

    def pack(self) -> bytes:
        """The payload."""
        return _TAKEN.pack(self.taken % 256, self.next % 256, self.round % 256, self.early)

    @classmethod
    def unpack(cls, payload: bytes) -> Taken:
        """What a payload says; ValueError if it says nothing."""
        if len(payload) != _TAKEN.size:
            raise ValueError(f"Board: TAKEN must have {_TAKEN.size} bytes, not {len(payload)}")
        taken, following, turn, early = _TAKEN.unpack(payload)
        return cls(taken, following, turn, bool(early))


def result_part(payload: bytes) -> tuple[int, bytes]:
    """Which part of its result a ``Kind.RESULT_PART`` is, and its codes; ValueError if none."""
    if len(payload) < RESULT_HEAD_BYTES:
        raise ValueError(
            f"Board: a part of a result must have {RESULT_HEAD_BYTES} bytes, not {len(payload)}"
        )
    return _RESULT.unpack_from(payload)[0], payload[RESULT_HEAD_BYTES:]
