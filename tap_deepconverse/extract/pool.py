"""Reads the windows of all bots of a stream with a few workers at once, in bounded memory.

A worker requests one page at a time, and chooses its window as late as possible: the current bot comes before later
bots, started windows before new ones, and earlier windows before later ones. So there are only as many requests in
flight as the rate limit needs, and the checkpoint advances steadily.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tap_deepconverse.api.rate_limit import RateLimiter, StoppedError
from tap_deepconverse.extract.another_way import UnreadableWindow, at_record
from tap_deepconverse.extract.lane import Arrival, Lane, Reading
from tap_deepconverse.extract.last_page import LastPage
from tap_deepconverse.records.page import UnusableRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_deepconverse.extract.lane import Fetch
    from tap_deepconverse.extract.span import BotSpan
    from tap_deepconverse.extract.windows import WindowRead
    from tap_deepconverse.records.page import Page

MOST_WAITING = 2  # pages of the current bot that wait to be emitted; with so many, no more are requested
MOST_WAITING_LATER = 16  # pages of all later bots together that may wait or be in flight
SECONDS_TO_LEAVE = 0.2  # how long to wait for workers at the end. Hanging ones end with the process


class ReaderPool:
    """The workers of a stream. `fetch` requests pages; the pool waits for the rate limiter before a first attempt."""

    def __init__(self, spans: Sequence[BotSpan], fetch: Fetch, limiter: RateLimiter, most_at_once: int) -> None:
        self.stopped = threading.Event()
        self._lanes, self._turn = [Lane(span) for span in spans], 0
        self._fetch, self._limiter, self._most_at_once = fetch, limiter, most_at_once
        self._changed = threading.Condition()
        self._door, self._at_door = threading.Lock(), 0
        self._workers: list[threading.Thread] = []
        self._last_page = LastPage()
        self._bug: BaseException | None = None

    def results(self, span: BotSpan, every_second: Callable[[], None] | None) -> Iterator[Arrival]:
        """Yield the pages of a bot, which becomes the current one.

        Yields:
            Each window's pages in order, and then its end. Pages of different windows are mixed, as they arrive. If a
            window fails, earlier windows are completed first, unless that takes long.

        Raises:
            BaseException: The error of the earliest window that failed.
        """
        lane, called = self._lane_of(span), time.monotonic()
        span.progress.begin()
        while (arrival := self._next_arrival(lane)) is not lane:
            if every_second and time.monotonic() - called >= 1:
                every_second()
                called = time.monotonic()
            if isinstance(arrival, Arrival) and lane.is_wanted(arrival.read.window.start):
                yield arrival
        if lane.failure:
            raise lane.failure[1]

    def fail(self, span: BotSpan, read: WindowRead, error: BaseException) -> None:
        """End the reading of a bot with an error, once the windows before this one are complete."""
        with self._changed:
            self._lane_of(span).fail(read.window.start, error)

    def records_left(self, span: BotSpan) -> float | None:
        """Return how many more records of a bot to expect, or None if unknown."""
        with self._changed:
            return self._lane_of(span).records_left

    def close(self) -> None:
        """Stop all requests."""
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + SECONDS_TO_LEAVE
        for worker in self._workers:
            worker.join(max(0, until - time.monotonic()))

    @property
    def _in_flight(self) -> float:
        return min(self._limiter.in_flight, self._most_at_once)

    def _lane_of(self, span: BotSpan) -> Lane:
        return next(lane for lane in self._lanes if lane.span is span)

    def _next_arrival(self, lane: Lane) -> Arrival | Lane | None:
        """Wait a second at most for an arrival; return the lane itself when it is over."""
        with self._changed:
            self._turn = self._lanes.index(lane)
            lane.forget_complete()
            self._send_worker()
            if not (lane.arrived or lane.is_over or self._bug):
                self._changed.wait(0.2 if lane.failure else 1)
            if self._bug:
                raise self._bug
            if not lane.arrived:
                return lane if lane.is_over else None
            self._changed.notify_all()
            return lane.arrived.popleft()

    def _work(self) -> None:
        with suppress(StoppedError):
            try:
                self._read_page(*self._next_reading(is_first=True))
                while True:
                    self._read_page(*self._next_reading())
            except StoppedError:
                raise
            except BaseException as error:  # noqa: BLE001  a run with a bug must not hang
                with self._changed:
                    self._bug = error
                    self._changed.notify_all()

    def _next_reading(self, *, is_first: bool = False) -> tuple[Lane, Reading]:
        """Wait until there is a page to request and the limiter allows it: one worker at a time."""
        with self._changed:
            self._at_door += 1
        try:
            with self._door:
                while True:
                    with self._changed:
                        while not self.stopped.is_set() and self._lane_to_read() is None:
                            self._changed.wait()
                    self._limiter.wait(self.stopped, is_first=is_first)
                    with self._changed:
                        if lane := self._lane_to_read():
                            return lane, lane.begin(self._fetch, self._in_flight)
        finally:
            with self._changed:
                self._at_door -= 1
                self._send_worker()

    def _lane_to_read(self) -> Lane | None:
        current, *later = self._lanes[self._turn :]
        if len(current.arrived) >= MOST_WAITING:
            return None
        if current.can_go_on:
            return current
        if sum(len(lane.arrived) + len(lane.active) for lane in later) >= MOST_WAITING_LATER:
            return None
        return next((lane for lane in later if lane.can_go_on), None)

    def _send_worker(self) -> None:
        """Wake or start a worker if there is a page to request."""
        if self.stopped.is_set() or self._lane_to_read() is None:
            return
        if self._at_door:
            self._changed.notify_all()
        elif len(self._workers) < self._most_at_once:
            # A daemon, so that a hanging request does not keep the process from ending.
            self._workers.append(threading.Thread(target=self._work, daemon=True))
            self._workers[-1].start()

    def _read_page(self, lane: Lane, reading: Reading) -> None:
        failure: BaseException | None = None
        try:
            page = next(reading.pages)
        except StoppedError:
            raise
        except UnusableRecordError as error:
            failure = at_record(error, f"page {reading.number + 1} of {reading.read.window}")
        except BaseException as error:  # noqa: BLE001  any error belongs to the bot
            failure = error
        with self._changed:
            if reading not in lane.active:  # its window has failed in the meantime
                return
            failure = failure or self._last_page.problem(page, reading.read, lane.span)
            if isinstance(failure, UnreadableWindow):
                lane.replace(reading, failure)
            elif failure:
                lane.fail(reading.start, failure)
            else:
                self._page_came(lane, reading, page)
            self._changed.notify_all()

    def _page_came(self, lane: Lane, reading: Reading, page: Page) -> None:
        reading.number += 1
        reading.records += len(page.data)
        read, in_flight, lanes = reading.read, self._in_flight, self._lanes[self._turn :]
        is_full = page.cursor is not None and len(page.data) >= read.page_size
        is_busy = is_full and (sum(each.at_work for each in lanes) >= in_flight or any(e.can_begin for e in lanes))
        if not (is_full and lane.cut_if_worth_it(reading, page, is_idle=not is_busy, in_flight=in_flight)):
            lane.put(reading, page)
