"""The host's end of the line: requests out, replies in, what is lost sent again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from sqwire.boards.errors import DeviceError

from .book import Book
from .codec import Code, Decoder, Kind, Message, encode
from .format import Format
from .parts import Taken
from .payloads import Identity, State
from .request import Gap, Request, Traffic
from .window import Astray, Window

__all__ = ["Client", "Line"]

_PIECE = 512
"""Bytes written at a time, so that what comes meanwhile is read in time."""

_REPLIES = {Kind.IDENTIFY: Kind.IDENTITY, Kind.STATUS: Kind.STATE, Kind.RESET: Kind.RESTARTED}


class Line(Protocol):
    """A serial port, as pyserial has it."""

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def cancel_read(self) -> None: ...
    def close(self) -> None: ...


class Client:
    """Speaks to a board through ``line``, in a thread of its own.

    Up to ``credits`` frames are unanswered at a time. The board answers frames in order, so a
    result shows that all older ones without one are lost; they are sent again at once, others
    after ``timeout_seconds``. After ``retries`` further tries a request fails. Frames in parts
    go through a :class:`sqwire.boards.link.window.Window`; where that gets on no more, the board
    is reset and those without a result are sent again.

    Raises
    ------
    DeviceError
        From the futures: nothing answers, the board refuses a request, or the port is gone.
    """

    def __init__(
        self, line: Line, name: str, *, timeout_seconds: float = 1.0, retries: int = 8
    ) -> None:
        self.name, self.timeout_seconds, self.retries = name, timeout_seconds, retries
        self.credits = 1
        self.outputs: tuple[Format, ...] = ()
        self.traffic = Traffic()
        self._line = line
        self._decoder = Decoder()
        self._book = Book()
        self._open = self._book.open
        self._window = Window(1)
        self._due = 0.0  # until when the board must have said where it stands
        self._astray = False  # no part goes out before a reset
        self._hold = 0.0  # no frame goes out before
        self._damaged = 0  # messages that came damaged to the board since its last reply
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"sqwire {name}", daemon=True)
        self._thread.start()

    def submit(self, kind: Kind, payload: bytes = b"") -> Future[bytes]:
        """Send a request some time soon; the payload of its reply."""
        Message(kind, 0, payload)  # what is no message is refused here
        return self._submit(Request(kind, [payload]))

    def submit_parts(self, kind: Kind, codes: Sequence[bytes]) -> Future[bytes]:
        """Send a frame in parts some time soon; the codes of its result."""
        return self._submit(Request(kind, codes))

    def _submit(self, request: Request) -> Future[bytes]:
        # Where others wait, it is awake or held back. To wake it each time would fill a pipe that
        # nobody empties while the line is stuck.
        if self._book.add(request):
            self._line.cancel_read()
        return request.future

    def identify(self) -> Identity:
        """Who is there; from here on as many frames are sent ahead as the board allows."""
        identity = Identity.unpack(self.submit(Kind.IDENTIFY).result())
        self.outputs = identity.outputs
        self.credits = self._window.credits = identity.credits
        return identity

    def status(self) -> State:
        """How the board fares."""
        return State.unpack(self.submit(Kind.STATUS).result())

    def reset(self) -> None:
        """Make the board forget all frames and counters."""
        self.submit(Kind.RESET).result()

    def close(self) -> None:
        """End the thread; requests that are not answered fail."""
        self._closed = True
        self._book.close(DeviceError(f"Board at {self.name}: it must be open, and was closed"))
        self._line.cancel_read()
        self._thread.join(10)
        self._line.close()

    def _serve(self) -> None:
        try:
            while not self._closed:
                self._send()
                self._receive(self._line.read(max(1, self._line.in_waiting)))
                self._expire()
            self._fail(DeviceError(f"Board at {self.name}: it must stay open, and was closed"))
        except (OSError, TypeError, AttributeError) as error:
            # pyserial raises TypeError where its descriptor is closed under it.
            self._fail(
                DeviceError(
                    f"Board at {self.name}: the port must stay there, and is gone ({error}); "
                    "plug the board in again"
                )
            )
        except Exception as error:
            # Whatever it is, nobody may wait for an answer for ever.
            self._fail(
                DeviceError(
                    f"Board at {self.name}: what it sends must make sense, and does not ({error!r})"
                )
            )

    def _fail(self, failure: DeviceError) -> None:
        if not self._closed:
            self._book.close(failure)
        self._book.fail(failure)

    def _count(self, **changes: int) -> None:
        old = self.traffic
        self.traffic = replace(old, **{k: getattr(old, k) + v for k, v in changes.items()})

    def _send(self) -> None:
        while (message := self._next_part() or self._next_request()) is not None:
            self._count(sent=1)
            line = encode(message)
            for at in range(0, len(line), _PIECE):
                self._line.write(line[at : at + _PIECE])
                if self._line.in_waiting:
                    self._receive(self._line.read(self._line.in_waiting))
            # Counted from when the line has it: until then it was on its way.
            late = time.monotonic() + self.timeout_seconds
            if message.kind in (Kind.PART, Kind.PART_PACKED):
                self._due = late
            elif message.sequence in self._open:
                self._open[message.sequence].deadline = late

    def _next_part(self) -> Message | None:
        if self._window.stuck > self.retries:
            self._stray()
        if self._is_resetting or time.monotonic() < self._hold:
            return None
        found = self._window.next()
        if found is None:
            return None
        message, again = found
        self._count(again=again)
        return message

    def _next_request(self) -> Message | None:
        while (request := self._book.first()) is not None:
            if request.is_frame and not self._may_send(request):
                return None
            sequence = self._book.start(self._window)
            if sequence is None:
                continue
            request.tries += 1
            request.deadline = time.monotonic() + self.timeout_seconds
            request.got = {}
            if not request.is_cut:
                return Message(request.kind, sequence, request.codes[0])
            self._window.add(sequence, request.kind, request.codes)
            return self._next_part()
        return None

    def _may_send(self, request: Request) -> bool:
        """Whether a frame may go out, or its first part."""
        if len(self._book.frames()) >= self.credits or time.monotonic() < self._hold:
            return False
        window = self._window
        free = window.is_sent and not window.is_full and not self._is_resetting
        return free or not request.is_cut

    @property
    def _is_resetting(self) -> bool:
        """Whether the board forgets, or is to forget, parts that are sent now."""
        return self._astray or any(r.kind == Kind.RESET for r in self._open.values())

    def _receive(self, received: bytes) -> None:
        for message in self._decoder.feed(received):
            self._handle(message)
        self.traffic = replace(self.traffic, damaged=self._decoder.damaged)

    def _handle(self, message: Message) -> None:
        if message.kind == Kind.ERROR and len(message.payload) == 1:
            self._complaint(message.sequence, message.payload[0])
            return
        if message.kind == Kind.TAKEN:
            self._taken(message.payload)
            return
        request = self._open.get(message.sequence)
        if request is None or message.kind not in self._answers(request):
            self._count(stale=1)
            return
        if request.is_frame:
            # The board answers frames in order: older ones are lost.
            frames = self._book.frames()
            for sequence in reversed(frames[: frames.index(message.sequence)]):
                self._again(sequence)
        self._hold, self._damaged = 0.0, 0
        payload = message.payload
        if message.kind == Kind.RESULT_PART:
            self._get_on()
            whole = self._gather(message.sequence, request, payload)
            if whole is None:
                return
            payload = whole
        del self._open[message.sequence]
        self._count(answered=1)
        if request.kind == Kind.RESET:
            self._restart()
        request.future.set_result(payload)

    def _answers(self, request: Request) -> tuple[Kind, ...]:
        if not request.is_frame:
            return (_REPLIES[request.kind],)
        cut = bool(self.outputs) and self.outputs[0].is_cut
        return (Kind.RESULT_PART if cut else Kind.RESULT,)

    def _gather(self, sequence: int, request: Request, payload: bytes) -> bytes | None:
        """A part of a result came; the result if it is the last."""
        try:
            return request.gather(payload, self.outputs)
        except Gap:
            self._again(sequence)
        except ValueError as error:
            del self._open[sequence]
            request.future.set_exception(error)
        return None

    def _taken(self, payload: bytes) -> None:
        """The board says which parts it has."""
        if self._is_resetting:
            return
        try:
            if self._window.heard(Taken.unpack(payload)):
                self._get_on()
                self._due = time.monotonic() + self.timeout_seconds
        except Astray:
            self._stray()

    def _get_on(self) -> None:
        """Parts of frames or results are on their way: no frame is late."""
        late = time.monotonic() + self.timeout_seconds
        for request in self._open.values():
            if request.is_frame:
                request.deadline = late

    def _stray(self) -> None:
        """The board must forget parts of frames before it gets others."""
        if self._astray:
            return
        self._astray = True
        reset = Request(Kind.RESET, [b""])
        reset.future.add_done_callback(self._give_up)
        self._book.put_first(reset)

    def _restart(self) -> None:
        """The board was reset: frames in parts that have no result are lost."""
        self._window, self._astray = Window(self.credits), False
        for sequence in reversed([s for s, request in self._open.items() if request.is_cut]):
            self._again(sequence)

    def _give_up(self, reset: Future[bytes]) -> None:
        """Without the reset no frame in parts can be sent."""
        error = reset.exception()
        if isinstance(error, Exception):
            self._window, self._astray = Window(self.credits), False
            self._book.fail(error, lambda request: request.is_cut)

    def _complaint(self, sequence: int, code: int) -> None:
        self._count(complaints=1)
        if code == Code.DAMAGED:
            # Which one it was is not known, unless it were all.
            self._damaged += 1
            requests = [s for s, request in self._open.items() if not request.is_cut]
            if self._damaged >= len(requests) + self._window.in_flight:
                self._damaged = 0
                self._window.back()
                for lost in reversed(requests):
                    self._again(lost)
        elif code == Code.BUSY and sequence in self._window:
            self._hold = time.monotonic() + self.timeout_seconds / 8
            self._window.back()
        elif sequence in self._open:
            if code == Code.BUSY:
                # Frames of ours that we gave up, or of another host, are still to be done.
                self._hold = time.monotonic() + self.timeout_seconds / 8
                self._again(sequence)
            else:
                request = self._open.pop(sequence)
                if sequence in self._window:
                    self._stray()
                why = "kind" if code == Code.UNKNOWN else "length"
                request.future.set_exception(
                    DeviceError(
                        f"Board at {self.name}: it must know a request of kind {request.kind:#04x} "
                        f"and {request.size} bytes, and refuses its {why}; "
                        "load the bitstream of this build"
                    )
                )

    def _again(self, sequence: int) -> None:
        """Put a request that is lost back to the front of those that wait, in order of sending."""
        request = self._open.pop(sequence, None)
        if request is None:
            return
        if request.tries > self.retries:
            traffic = self.traffic
            request.future.set_exception(
                DeviceError(
                    f"Board at {self.name}: it must answer within {self.timeout_seconds:g} s, and "
                    f"did not {request.tries} times ({traffic.answered} requests answered, "
                    f"{traffic.damaged} replies damaged, {traffic.complaints} refused); "
                    "check the board, its bitstream and --baud"
                )
            )
            return
        self._count(again=1)
        self._book.put_first(request)

    def _expire(self) -> None:
        now = time.monotonic()
        if self._window.waits and not self._is_resetting and self._due < now:
            self._count(timed_out=1)
            self._due = now + self.timeout_seconds
            self._window.back()
        late = [
            sequence
            for sequence, request in self._open.items()
            if request.deadline < now and not (request.is_cut and sequence in self._window)
        ]
        for sequence in reversed(late):
            self._count(timed_out=1)
            self._again(sequence)
