"""The rate limiter of an endpoint: all workers together send evenly spaced requests at the documented rate."""

from __future__ import annotations

import threading
import time
from collections import deque

SLACK = 1.01  # factor on the interval, so that network jitter does not break the limit
MORE_SLACK = 0.01  # added after each pause, which shows that the jitter is larger than assumed
MOST_SLACK = 1.1
NEW_CONNECTION = 0.1  # seconds that a request may arrive late if it must open its connection first
ASSUMED_ANSWER = 2.0  # seconds per response, until one has been measured


class StoppedError(Exception):
    """The sync is over, so no more requests may be sent."""


class RateLimiter:
    """Spaces the requests of all workers of one endpoint; the documented limit is 3 a second for each endpoint.

    Evenly instead of in bursts: a strict server may count any one-second window.
    """

    def __init__(self, requests_per_second: int) -> None:
        self._requests_per_second = requests_per_second
        self._slack = SLACK
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._latest_arrivals = deque[float](maxlen=requests_per_second)
        self._paused_until = 0.0
        self._pauses = 0
        self._seconds_per_answer: float | None = None
        self.latest_to_come = 0.0  # when the latest successful request was sent, by the monotonic clock

    @property
    def in_flight(self) -> float:
        """Number of concurrent requests that use the full rate, from the average time of a response."""
        return self._requests_per_second * (self._seconds_per_answer or ASSUMED_ANSWER)

    def took(self, seconds: float) -> None:
        """Record how long a response took, for the moving average."""
        self.latest_to_come = max(self.latest_to_come, time.monotonic() - seconds)
        before = self._seconds_per_answer
        self._seconds_per_answer = seconds if before is None else before + (seconds - before) / 5

    def wait(self, stopped: threading.Event, *, is_first: bool = False) -> None:
        """Wait until a request may be sent; raise StoppedError if `stopped` is set. `is_first`: of a worker."""
        while not stopped.is_set():
            with self._lock:
                now, pauses = time.monotonic(), self._pauses
                at = max(now, self._next_at)
                if not is_first and len(self._latest_arrivals) == self._requests_per_second:
                    # A request on time may not follow a late one too closely.
                    at = max(at, self._latest_arrivals[0] + self._slack)
                self._latest_arrivals.append(at + NEW_CONNECTION * is_first)
                self._next_at = at + self._slack / self._requests_per_second
            # A pause that began during the wait delays this request too.
            if not stopped.wait(at - now) and pauses == self._pauses:
                return
        raise StoppedError

    def pause(self, seconds: float) -> None:
        """Stop all requests for some seconds, then send a little more slowly."""
        with self._lock:
            # Workers that wait now get a new slot after the pause, evenly spaced again.
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)
            self._next_at = self._paused_until
            self._slack = min(self._slack + MORE_SLACK, MOST_SLACK)
            self._pauses += 1
