"""How fast an endpoint is asked: evenly, at the documented rate, by all readers together."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from pyrate_limiter import BucketFactory, InMemoryBucket, Limiter, Rate, SingleBucketFactory

if TYPE_CHECKING:
    from collections.abc import Callable

SLACK = 1.005
"""How much slower than the limit to go, so that a little jitter on the way is not taken for haste."""

MORE_SLACK = 0.01
"""How much slower to go after each refusal: then there is more jitter on the way."""

MOST_SLACK = 1.1

EVENLY_UP_TO = 100
"""Requests a second from which on single milliseconds are too coarse to spread them evenly."""


class StoppedError(Exception):
    """The sync is over, so nothing is to be asked any more."""


class Pace:
    """Lets the readers of one endpoint ask in turn.

    The documented limit is 3 requests a second for each endpoint. They are spread evenly instead of
    sent in bursts, since a strict server counts any second, not the clock's.
    """

    def __init__(self, requests_per_second: int) -> None:
        """Start without a request made.

        Args:
            requests_per_second: The most the endpoint may be asked in any second.
        """
        self._slack = SLACK
        self._limiter = _limiter(requests_per_second, SLACK)
        self._line = threading.Lock()
        self._door = threading.Lock()
        self._holding = threading.Lock()
        self._going_on = 0
        self._going_on_changed = threading.Condition()
        self._held_until = 0.0
        self._ahead = threading.local()
        self._requests_per_second = requests_per_second
        self._seconds_per_answer = 0.0

    @property
    def in_flight(self) -> float:
        """How many requests are under way at a time when the limit is used, going by how long answers take."""
        return self._requests_per_second * self._seconds_per_answer

    def took(self, seconds: float) -> None:
        """Take note of how long an answer took.

        Args:
            seconds: How long.
        """
        self._seconds_per_answer += (seconds - self._seconds_per_answer) / (5 if self._seconds_per_answer else 1)

    def wait_ahead(self, stopped: threading.Event, is_wanted: Callable[[], bool]) -> None:
        """Wait for a turn to begin something new, and keep it for the calling thread's next request.

        What has been begun comes first, so that no more is under way than is needed. And what to begin
        can be decided at the last moment, knowing all that has come in.

        Args:
            stopped: Set once nothing is to be asked any more.
            is_wanted: Whether there is something new to begin, by now. If not, no turn is taken.

        Raises:
            StoppedError: If it is set.
        """
        with self._door:
            with self._going_on_changed:
                while self._going_on and is_wanted() and not stopped.is_set():
                    self._going_on_changed.wait(0.1)
            if is_wanted():
                self._wait(stopped)
                self._ahead.is_due = True

    def wait(self, stopped: threading.Event) -> None:
        """Wait for a turn to send a request.

        Args:
            stopped: Set once nothing is to be asked any more.

        Raises:
            StoppedError: If it is set.
        """
        if getattr(self._ahead, "is_due", False):
            self._ahead.is_due = False
            if not stopped.is_set() and self._seconds_held() <= 0:
                return
        self._count_going_on(+1)
        try:
            self._wait(stopped)
        finally:
            self._count_going_on(-1)

    def _count_going_on(self, change: int) -> None:
        with self._going_on_changed:
            self._going_on += change
            self._going_on_changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Let nobody ask for a while, and a little more slowly from then on: the API wants it so.

        Args:
            seconds: For how long.
        """
        with self._holding:
            self._held_until = max(self._held_until, time.monotonic() + seconds)
            self._slack = min(self._slack + MORE_SLACK, MOST_SLACK)
            self._limiter = _limiter(self._requests_per_second, self._slack)

    def _seconds_held(self) -> float:
        return self._held_until - time.monotonic()

    def _wait(self, stopped: threading.Event) -> None:
        with self._line:
            while not stopped.is_set():
                if (seconds := self._seconds_held()) > 0:
                    stopped.wait(seconds)
                    continue
                self._limiter.try_acquire()
                # The turn itself may have been waited for, and a refusal have come in the meantime.
                if self._seconds_held() <= 0 and not stopped.is_set():
                    return
        raise StoppedError


def _limiter(requests_per_second: int, slack: float) -> Limiter:
    if requests_per_second <= EVENLY_UP_TO:
        rate = Rate(1, math.ceil(1000 / requests_per_second * slack))
    else:
        rate = Rate(requests_per_second, math.ceil(1000 * slack))
    # A thread of the library's that forgets old requests is not needed for as few as these.
    factory: BucketFactory = SingleBucketFactory(InMemoryBucket([rate]), schedule_leak=False)
    return Limiter(factory, buffer_ms=1)
