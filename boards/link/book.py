"""Requests of one line: those that wait to be sent, and those that wait for an answer."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Container

from sqwire.boards.errors import DeviceError

from .codec import NOBODY
from .request import Request

__all__ = ["Book"]


class Book:
    """Requests in their order; those that were sent under a number each.

    Anybody may :meth:`add` one, all else is for the thread that serves the line.
    """

    def __init__(self) -> None:
        self.open: OrderedDict[int, Request] = OrderedDict()
        """Those that were sent, by sequence number, in order of sending."""
        self._waiting: deque[Request] = deque()
        # From anywhere: replies to the host before us must not fit.
        self._number = random.randrange(NOBODY)
        self._lock = threading.Lock()
        self._closed: DeviceError | None = None

    def add(self, request: Request) -> bool:
        """Let one wait; whether no other does. DeviceError if the book is closed."""
        with self._lock:
            if self._closed:
                raise self._closed
            self._waiting.append(request)
            return len(self._waiting) == 1

    def put_first(self, request: Request) -> None:
        """Let one wait before all others."""
        with self._lock:
            self._waiting.appendleft(request)

    def first(self) -> Request | None:
        """The one to be sent next."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def start(self, used: Container[int]) -> int | None:
        """The first is sent now: its number, none of those in use or open; None if it was given up
        meanwhile. What is no frame keeps its number: an answer to an earlier try is as good.
        """
        with self._lock:
            request = self._waiting.popleft()
        if not request.is_wanted():
            return None
        number = request.number
        if number is None or request.is_frame or number in self.open or number in used:
            number = self._next_number(used)
        self.open[number] = request
        request.number = number
        return number

    def _next_number(self, used: Container[int]) -> int:
        self._number = (self._number + 1) % NOBODY
        while self._number in self.open or self._number in used:
            self._number = (self._number + 1) % NOBODY
        return self._number

    def frames(self) -> list[int]:
        """The numbers of the frames that were sent."""
        return [number for number, request in self.open.items() if request.is_frame]

    def fail(self, error: Exception, which: Callable[[Request], bool] = lambda _: True) -> None:
        """All, or some, get an error for an answer."""
        with self._lock:
            lost = [*filter(which, self.open.values()), *filter(which, self._waiting)]
            self._waiting = deque(request for request in self._waiting if not which(request))
        for number in [n for n, request in self.open.items() if which(request)]:
            del self.open[number]
        for request in lost:
            if request.is_wanted():
                request.future.set_exception(error)

    def close(self, error: DeviceError) -> None:
        """Take no more; the reason is what whoever tries gets."""
        with self._lock:
            self._closed = error
