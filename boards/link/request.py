"""What a host asks of a board, and what it keeps count of."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from .codec import Kind
from .format import Format
from .parts import result_part

__all__ = ["Gap", "Request", "Traffic"]

_FRAMES = (Kind.INFER, Kind.INFER_PACKED, Kind.PART, Kind.PART_PACKED)


class Gap(Exception):
    """A part of a result is missing."""


@dataclass(frozen=True)
class Traffic:
    """What happened on the line so far, seen from the host."""

    sent: int = 0
    """Messages sent, those that were sent again counted again."""
    answered: int = 0
    """Requests answered; a frame is one, also in parts."""
    again: int = 0
    """Requests, and parts of frames, sent again."""
    timed_out: int = 0
    """How often nothing came in time."""
    damaged: int = 0
    """Replies that came damaged."""
    stale: int = 0
    """Replies to nothing that was still asked: sent again meanwhile, or of another host."""
    complaints: int = 0
    """Error replies."""


@dataclass
class Request:
    """A request: its payload, that is of a frame in parts the codes of each.

    ``number`` is under which it was sent last, ``got`` what has come of a result in parts, by
    output.
    """

    kind: Kind
    codes: Sequence[bytes]
    future: Future[bytes] = field(default_factory=Future)
    begun: bool = False
    number: int | None = None
    tries: int = 0
    deadline: float = 0.0
    got: dict[int, list[bytes]] = field(default_factory=dict)

    @property
    def is_frame(self) -> bool:
        """Whether a result is its answer."""
        return self.kind in _FRAMES

    @property
    def is_cut(self) -> bool:
        """Whether it is a frame in parts."""
        return self.kind in (Kind.PART, Kind.PART_PACKED)

    def is_wanted(self) -> bool:
        """Whether nobody gave it up; from now on nobody can. Not to be asked again if not."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun

    def gather(self, payload: bytes, outputs: Sequence[Format]) -> bytes | None:
        """A part of its result came; the result, output by output, if it is the last.

        Raises
        ------
        Gap
            If one before it of the same output is lost; the board does not keep it.
        ValueError
            If it is none, or of another length.
        """
        index, codes = result_part(payload)
        place, number = index, 0
        while number < len(outputs) - 1 and place >= outputs[number].messages:
            place -= outputs[number].messages
            number += 1
        output, own = outputs[number], self.got.setdefault(number, [])
        if place != len(own) or place >= output.messages:
            raise Gap
        wanted = output.message_bytes(packed=False, last=place == output.messages - 1)
        if len(codes) != wanted:
            raise ValueError(
                f"Board: part {index} of a result must have {wanted} bytes, not {len(codes)}; "
                "load the bitstream of this build"
            )
        own.append(codes)
        if any(len(self.got.get(k, ())) < one.messages for k, one in enumerate(outputs)):
            return None
        return b"".join(b"".join(self.got[k]) for k in range(len(outputs)))

    @property
    def size(self) -> int:
        """Bytes of its codes."""
        return sum(map(len, self.codes))
