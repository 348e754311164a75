"""Parts of frames on their way to the board, in order, sent again from where one was lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .codec import Kind, Message
from .parts import Part, Taken

__all__ = ["Astray", "Window"]


class Astray(Exception):
    """The board does not stand where it can stand: somebody else reset it."""


@dataclass(frozen=True)
class _Frame:
    sequence: int
    kind: Kind
    codes: Sequence[bytes]
    first: int  # the number of its first part

    @property
    def end(self) -> int:
        return self.first + len(self.codes)


class Window:
    """The host's side of :class:`sqwire.boards.link.order.Order` (go-back-N).

    Numbers count the parts since the reset. The board was told ``sent``, has what lies before
    ``known`` and has fed what lies before ``taken``; the frames of the rest are kept. A line does
    not change the order of messages, so all three only grow at the board, and a report that
    contradicts what was heard before is none of ours.
    """

    def __init__(self, credits: int) -> None:
        self.credits = credits
        self.stuck = 0
        """How often it went back since it last got on."""
        self._frames: deque[_Frame] = deque()
        self._taken = self._known = self._sent = 0
        self._most = 0  # the most that was ever sent
        self._end = 0  # behind all frames
        self._round = 0

    def add(self, sequence: int, kind: Kind, codes: Sequence[bytes]) -> None:
        """A frame to be sent behind the others: the codes of its parts."""
        self._frames.append(_Frame(sequence, kind, codes, self._end))
        self._end += len(codes)

    def __contains__(self, sequence: object) -> bool:
        """Whether a part of this frame may not have been fed."""
        return any(frame.sequence == sequence for frame in self._frames)

    @property
    def is_sent(self) -> bool:
        """Whether all parts of all frames were sent."""
        return self._sent == self._end

    @property
    def is_full(self) -> bool:
        """Whether as many parts wait as there are credits."""
        return self._sent - self._taken >= self.credits

    @property
    def in_flight(self) -> int:
        """Parts that were sent and are not known to be with the board."""
        return self._sent - self._known

    @property
    def waits(self) -> bool:
        """Whether the board has something to say."""
        return self._taken < self._sent

    def next(self) -> tuple[Message, bool] | None:
        """The next part, and whether it was sent before; None where there is none or no credit."""
        if self.is_sent or self.is_full:
            return None
        number = self._sent
        frame = next(frame for frame in self._frames if number < frame.end)
        index = number - frame.first
        part = Part(index, number, self._round, frame.codes[index])
        again = number < self._most
        self._sent += 1
        self._most = max(self._most, self._sent)
        return Message(frame.kind, frame.sequence, part.pack()), again

    def heard(self, report: Taken) -> bool:
        """Take in what the board says; whether it got on.

        Raises
        ------
        Astray
            If that cannot be.
        """
        taken = self._taken + (report.taken - self._taken) % 256
        known = self._known + (report.next - self._known) % 256
        if not taken <= known <= self._most:
            raise Astray
        got_on = taken > self._taken or known > self._known
        self._taken, self._known, self._sent = taken, known, max(self._sent, known)
        while self._frames and self._frames[0].end <= taken:
            self._frames.popleft()
        if got_on:
            self.stuck = 0
        # Of an older round: those that were on their way when we went back.
        if report.early and report.round == self._round % 256 and self.in_flight:
            self.back()
        return got_on

    def back(self) -> None:
        """Send again what the board may not have; if it has all, the last, so that it answers."""
        if self.waits:
            self._sent = self._known if self.in_flight else self._known - 1
            self._round += 1
            self.stuck += 1
