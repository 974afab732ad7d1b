"""Chooses which page of which bot is requested next, and takes what comes: the loop of a run, in one thread.

Nothing is planned while the caller of `arrivals` emits records. So a target that stops reading stops the requests, and
memory is bounded by what is in flight.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.extract.fallback import UNREADABLE
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.records.page import Page

MOST_BYTES = 1 << 26
"""Bytes of pages that may be in flight or wait to be emitted, by the size of the largest that came."""

PATIENCE = 5.0
"""Seconds that windows before a failed one may still take, so that their records are not lost."""


Answer = tuple[Lane, Reading, Page | BaseException | None]
"""What a request brought; None when it has just been sent."""


class Workers(Protocol):
    """Make requests; in tests, in simulated time."""

    def ask(self, lane: Lane, reading: Reading) -> None:
        """Request the next page of a window, as soon as the rate limiter of its stream allows it."""

    def answer(self, seconds: float) -> Answer | None:
        """Return what happened next, or None if nothing does for so long."""


class Pool:
    """Reads some lanes, with as many requests in flight as the rate limit needs."""

    def __init__(
        self, lanes: Sequence[Lane], workers: Workers, most_at_once: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lanes = lanes
        self._workers = workers
        self._most_at_once = most_at_once
        self._clock = clock
        self._failed_at: dict[Lane, float] = {}
        self._asked = Counter[str]()
        self._waiting = set[str]()  # streams of which a request waits for the rate limiter

    def arrivals(self) -> Iterator[Lane | None]:
        """Yield a lane whenever something has come for it, until all lanes are over; None where nothing has.

        The caller takes what is in its inbox before the next step.
        """
        while lanes := [lane for lane in self._lanes if not lane.is_over]:
            for lane in lanes:
                if lane.failure and self._clock() > self._failed_at.setdefault(lane, self._clock()) + PATIENCE:
                    lane.give_up()  # what hangs does not keep the error from being known
                    yield lane
                self._ask_for(lane)
            answer = self._workers.answer(1.0)
            yield self._take(*answer) if answer else None

    def _ask_for(self, lane: Lane) -> None:
        name = lane.source.name
        most = min(self._most_at_once, max(1, MOST_BYTES // lane.full.largest))
        while self._asked[name] < most and name not in self._waiting and (reading := lane.next()):
            reading.is_asked = True
            self._asked[name] += 1
            self._waiting.add(name)
            self._workers.ask(lane, reading)

    def _take(self, lane: Lane, reading: Reading, came: Page | BaseException | None) -> Lane | None:
        name = lane.source.name
        if came is None:
            self._waiting.remove(name)
            return None
        at_once = self._asked[name]
        self._asked[name] -= 1
        reading.is_asked = False
        if reading not in lane.open:  # the lane has failed in the meantime
            return lane
        try:
            try:
                if isinstance(came, BaseException):
                    raise came
                lane.put(reading, came, at_once)
            except UNREADABLE as error:
                lane.fall_back(reading, error)
        except FatalSyncError as error:  # anything else is a bug
            lane.fail(reading.window.start, error)
        return lane
