"""Worker threads, which only fetch: they wait for the rate limiter, request a page, and hand it over."""

import threading
import time
from collections import Counter, defaultdict
from queue import Empty, SimpleQueue
from typing import Self

from tap_deepconverse.api.errors import StoppedError
from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.records.page import Page

SECONDS_TO_LEAVE = 0.2
"""How long to wait for the threads at the end. Those that hang end with the process."""


class Threads:
    """Threads that make the requests of a run. Each serves one stream, which has a rate limit of its own."""

    def __init__(self, most: int, stopped: threading.Event) -> None:
        """Start without threads; there are at most `most` for each stream. Setting `stopped` ends all waiting."""
        self._most = most
        self._stopped = stopped
        self._jobs = defaultdict[str, SimpleQueue["tuple[Lane, Reading] | None"]](SimpleQueue)
        self._came = SimpleQueue["tuple[Lane, Reading, Page | BaseException] | None"]()
        self._lock = threading.Lock()
        self._waiting = Counter[str]()
        self._busy = Counter[str]()
        self._threads = defaultdict[str, list[threading.Thread]](list)

    def __enter__(self) -> Self:
        """Return the threads, which are started as they are needed."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End all threads, and the requests that wait."""
        self._stopped.set()
        started = [(self._jobs[name], thread) for name, threads in self._threads.items() for thread in threads]
        for jobs, _ in started:
            jobs.put(None)
        until = time.monotonic() + SECONDS_TO_LEAVE
        for _, thread in started:
            thread.join(max(0.0, until - time.monotonic()))

    def are_waiting(self, name: str) -> bool:
        """Return whether a request of this stream still waits for the rate limiter."""
        with self._lock:
            return self._waiting[name] > 0

    def ask(self, lane: Lane, reading: Reading) -> None:
        """Request the next page of a window, as soon as the rate limiter of its stream allows it.

        Raises:
            ExtractionError: If the system allows no thread at all.
        """
        name = lane.source.name
        with self._lock:
            self._waiting[name] += 1
            self._busy[name] += 1
            is_short = self._busy[name] > len(self._threads[name])
        if is_short and len(self._threads[name]) < self._most:
            self._start(name)
        self._jobs[name].put((lane, reading))

    def answer(self, seconds: float) -> tuple[Lane, Reading, Page | BaseException] | None:
        """Return what came next; None once a request was sent, or if nothing comes for so long."""
        try:
            return self._came.get(timeout=seconds)
        except Empty:
            return None

    def _start(self, name: str) -> None:
        # A daemon, so that a request that hangs does not keep the process from ending.
        thread = threading.Thread(target=self._work, args=[name], daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads[name]:
                msg = "the system allows no more threads; raise its limit of processes (in a container: `pids.max`)"
                raise ExtractionError(msg) from None
            return  # those that there are do the work
        self._threads[name].append(thread)

    def _work(self, name: str) -> None:
        came: Page | BaseException
        while (job := self._jobs[name].get()) is not None:
            lane, reading = job
            try:
                lane.source.wait(self._stopped)
                with self._lock:
                    self._waiting[name] -= 1
                self._came.put(None)
                came = lane.fetch(reading, self._stopped)
            except StoppedError:
                return
            except BaseException as error:  # noqa: BLE001  whose it is, the planning thread decides
                came = error
            with self._lock:
                self._busy[name] -= 1
            self._came.put((lane, reading, came))
