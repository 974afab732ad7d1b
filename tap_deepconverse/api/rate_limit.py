"""The rate limiter of an endpoint."""

import threading
import time
from collections.abc import Callable

from tap_deepconverse.api.errors import StoppedError

SLACK = 1.01  # factor on the interval, so that network jitter does not break the limit
MORE_SLACK = 0.01  # added after each pause, which shows that the jitter is larger than assumed
MOST_SLACK = 1.1
NEW_CONNECTION = 0.1  # seconds that a request may arrive late if it must open its connection first
ASSUMED_ANSWER = 2.0  # seconds per response, until one has been measured


class RateLimiter:
    """Spaces the requests of all workers of one endpoint evenly: a strict server may count any one-second window."""

    def __init__(self, requests_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_success_at: float | None = None
        self._requests_per_second = requests_per_second
        self._clock = clock
        self._slack = SLACK
        self._lock = threading.Lock()
        self._next_at = clock()
        self._seconds_per_answer = ASSUMED_ANSWER

    @property
    def in_flight(self) -> float:
        """Number of concurrent requests that use the full rate, from the average time of a response."""
        return self._requests_per_second * self._seconds_per_answer

    def wait(self, stopped: threading.Event) -> None:
        """Wait until a request may be sent; raise StoppedError if `stopped` is set."""
        while not stopped.is_set():
            with self._lock:
                now = self._clock()
                seconds = self._next_at - now
                if seconds <= 0:
                    self._next_at = now + self._slack / self._requests_per_second
                    return
            stopped.wait(seconds)  # then look again: another worker may have been faster, or a pause has begun
        raise StoppedError

    def took(self, seconds: float) -> None:
        """Record that a successful response has come, and how long it took, for the moving average."""
        with self._lock:
            if self.last_success_at is None:
                self._seconds_per_answer = seconds
                self._next_at += NEW_CONNECTION  # the first requests arrive late, as they open connections
            self._seconds_per_answer += (seconds - self._seconds_per_answer) / 5
            self.last_success_at = self._clock()

    def pause(self, seconds: float) -> None:
        """Stop all requests for some seconds, then send a little more slowly."""
        with self._lock:
            self._next_at = max(self._next_at, self._clock() + seconds)
            self._slack = min(self._slack + MORE_SLACK, MOST_SLACK)
