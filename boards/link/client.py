"""The host's end of the line: requests out, replies in, what is lost sent again."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqwire.boards.errors import DeviceError

from .codec import NOBODY, Code, Decoder, Kind, Message, encode
from .payloads import Identity, State

__all__ = ["Client", "Line", "Traffic"]

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


@dataclass(frozen=True)
class Traffic:
    """What happened on the line so far, seen from the host."""

    sent: int = 0
    """Requests sent, those that were sent again counted again."""
    answered: int = 0
    """Requests answered."""
    again: int = 0
    """Requests sent again."""
    timed_out: int = 0
    """Of these, those for which nothing came in time."""
    damaged: int = 0
    """Replies that came damaged."""
    stale: int = 0
    """Replies to nothing that was still asked: sent again meanwhile, or of another host."""
    complaints: int = 0
    """Error replies."""


@dataclass
class _Request:
    kind: Kind
    payload: bytes
    future: Future[bytes] = field(default_factory=Future)
    tries: int = 0
    deadline: float = 0.0

    @property
    def is_frame(self) -> bool:
        return self.kind in (Kind.INFER, Kind.INFER_PACKED)


class Client:
    """Speaks to a board through ``line``, in a thread of its own.

    Up to ``credits`` frames are unanswered at a time. The board answers frames in order, so a
    result shows that all older ones without one are lost; they are sent again at once, others
    after ``timeout_seconds``. After ``retries`` further tries a request fails.

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
        self.traffic = Traffic()
        self._line = line
        self._decoder = Decoder()
        self._waiting: deque[_Request] = deque()
        self._open: OrderedDict[int, _Request] = OrderedDict()  # by sequence, in order of sending
        # From anywhere: replies to the host before us must not fit.
        self._sequence = random.randrange(NOBODY)
        self._hold = 0.0  # no frame goes out before
        self._damaged = 0  # messages that came damaged to the board since its last reply
        self._lock = threading.Lock()
        self._closed = False
        self._failure: DeviceError | None = None
        self._thread = threading.Thread(target=self._serve, name=f"sqwire {name}", daemon=True)
        self._thread.start()

    def submit(self, kind: Kind, payload: bytes = b"") -> Future[bytes]:
        """Send a request some time soon; the payload of its reply."""
        Message(kind, 0, payload)  # what is no message is refused here
        request = _Request(kind, payload)
        with self._lock:
            if self._closed:
                raise DeviceError(f"Board at {self.name}: it must be open, and was closed")
            if self._failure:
                raise self._failure
            idle = not self._waiting
            self._waiting.append(request)
        # Where others wait, it is awake or held back. To wake it each time would fill a pipe that
        # nobody empties while the line is stuck.
        if idle:
            self._line.cancel_read()
        return request.future

    def identify(self) -> Identity:
        """Who is there; from here on as many frames are sent ahead as the board allows."""
        identity = Identity.unpack(self.submit(Kind.IDENTIFY).result())
        self.credits = identity.credits
        return identity

    def status(self) -> State:
        """How the board fares."""
        return State.unpack(self.submit(Kind.STATUS).result())

    def reset(self) -> None:
        """Make the board forget all frames and counters."""
        self.submit(Kind.RESET).result()

    def close(self) -> None:
        """End the thread; requests that are not answered fail."""
        with self._lock:
            self._closed = True
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
        with self._lock:
            self._failure = failure
            requests = [*self._open.values(), *self._waiting]
            self._open.clear()
            self._waiting.clear()
        for request in requests:
            # Those that were never sent may have been given up by who asked.
            if request.tries or request.future.set_running_or_notify_cancel():
                request.future.set_exception(failure)

    def _count(self, **changes: int) -> None:
        old = self.traffic
        self.traffic = replace(old, **{k: getattr(old, k) + v for k, v in changes.items()})

    def _send(self) -> None:
        while True:
            with self._lock:
                frames = sum(request.is_frame for request in self._open.values())
                if not self._waiting:
                    return
                request = self._waiting[0]
                if request.is_frame and (frames >= self.credits or time.monotonic() < self._hold):
                    return
                self._waiting.popleft()
                if not request.tries and not request.future.set_running_or_notify_cancel():
                    continue
                self._sequence = (self._sequence + 1) % NOBODY
                while self._sequence in self._open:
                    self._sequence = (self._sequence + 1) % NOBODY
                sequence = self._sequence
                self._open[sequence] = request
            request.tries += 1
            self._count(sent=1)
            line = encode(Message(request.kind, sequence, request.payload))
            request.deadline = time.monotonic() + self.timeout_seconds
            for at in range(0, len(line), _PIECE):
                self._line.write(line[at : at + _PIECE])
                if self._line.in_waiting:
                    self._receive(self._line.read(self._line.in_waiting))
            # Counted from when the line has it: until then it was on its way.
            request.deadline = time.monotonic() + self.timeout_seconds

    def _receive(self, received: bytes) -> None:
        for message in self._decoder.feed(received):
            self._handle(message)
        self.traffic = replace(self.traffic, damaged=self._decoder.damaged)

    def _handle(self, message: Message) -> None:
        if message.kind == Kind.ERROR and len(message.payload) == 1:
            self._complaint(message.sequence, message.payload[0])
            return
        request = self._open.get(message.sequence)
        wanted = Kind.RESULT if request and request.is_frame else None
        if request and wanted is None:
            wanted = _REPLIES[request.kind]
        if request is None or message.kind != wanted:
            self._count(stale=1)
            return
        if request.is_frame:
            # The board answers frames in order: older ones are lost.
            frames = [s for s, other in self._open.items() if other.is_frame]
            for sequence in reversed(frames[: frames.index(message.sequence)]):
                self._again(sequence)
        del self._open[message.sequence]
        self._hold, self._damaged = 0.0, 0
        self._count(answered=1)
        request.future.set_result(message.payload)

    def _complaint(self, sequence: int, code: int) -> None:
        self._count(complaints=1)
        if code == Code.DAMAGED:
            # Which one it was is not known, unless it were all.
            self._damaged += 1
            if self._damaged >= len(self._open):
                for lost in reversed(list(self._open)):
                    self._again(lost)
        elif sequence in self._open:
            if code == Code.BUSY:
                # Frames of ours that we gave up, or of another host, are still to be done.
                self._hold = time.monotonic() + self.timeout_seconds / 8
                self._again(sequence)
            else:
                request = self._open.pop(sequence)
                why = "kind" if code == Code.UNKNOWN else "length"
                request.future.set_exception(
                    DeviceError(
                        f"Board at {self.name}: it must know a request of kind {request.kind:#04x} "
                        f"and {len(request.payload)} bytes, and refuses its {why}; "
                        "load the bitstream of this build"
                    )
                )

    def _again(self, sequence: int) -> None:
        """Put a request that is lost back to the front of those that wait, in order of sending."""
        request = self._open.pop(sequence)
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
        with self._lock:
            self._waiting.appendleft(request)

    def _expire(self) -> None:
        now = time.monotonic()
        late = [s for s, request in self._open.items() if request.deadline < now]
        for sequence in reversed(late):
            self._count(timed_out=1)
            self._again(sequence)
