"""Worker threads, which only fetch: each waits for the rate limiter, requests a page, and hands it over."""

import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import Self

from tap_deepconverse.api.errors import StoppedError
from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.pool import Answer
from tap_deepconverse.extract.window import Reading

SECONDS_TO_LEAVE = 0.2
"""How long to wait for the threads at the end. Those that hang end with the process."""

SECONDS_TO_START, MOST_WAITS = 0.05, 40
"""How long to wait for a thread to end, where the system allows no more; and how often, if none of ours is running."""


class Threads:
    """The threads of a run, one for each request that waits or is in flight. See `pool.Workers`."""

    def __init__(self, stopped: threading.Event) -> None:
        """Start without threads. Setting `stopped` ends all waiting."""
        self._stopped = stopped
        self._asked = deque[tuple[Lane, Reading]]()
        self._came = SimpleQueue[Answer]()
        self._running: list[threading.Thread] = []
        self._waits = 0

    def __enter__(self) -> Self:
        """Return the threads, which are started as they are needed."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End all threads, and the requests that wait."""
        self._stopped.set()
        until = time.monotonic() + SECONDS_TO_LEAVE
        for thread in self._running:
            thread.join(max(0.0, until - time.monotonic()))

    def ask(self, lane: Lane, reading: Reading) -> None:
        """Request the next page of a window, as soon as the rate limiter of its stream allows it."""
        self._asked.append((lane, reading))

    def answer(self, seconds: float) -> Answer | None:
        """Return what happened next, or None if nothing does for so long.

        Raises:
            ExtractionError: If the system has allowed no thread for some seconds.
        """
        self._running = [thread for thread in self._running if thread.is_alive()]
        while self._asked and self._start(*self._asked[0]):
            self._asked.popleft()
        try:
            return self._came.get(timeout=SECONDS_TO_START if self._asked else seconds)
        except Empty:
            return None

    def _start(self, lane: Lane, reading: Reading) -> bool:
        # A daemon, so that a request that hangs does not keep the process from ending.
        thread = threading.Thread(target=self._work, args=[lane, reading], daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if self._running or self._waits < MOST_WAITS:  # one that ends makes room
                self._waits += 1
                return False
            msg = "the system allows no more threads; raise its limit of processes (in a container: `pids.max`)"
            raise ExtractionError(msg) from None
        self._waits = 0
        self._running.append(thread)
        return True

    def _work(self, lane: Lane, reading: Reading) -> None:
        try:
            lane.source.wait(self._stopped)
            self._came.put((lane, reading, None))
            self._came.put((lane, reading, lane.fetch(reading, self._stopped)))
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  whose it is, the planning thread decides
            self._came.put((lane, reading, error))
