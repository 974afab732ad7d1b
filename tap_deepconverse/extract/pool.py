"""Windows of all bots of a stream, read by a few workers at once, in bounded memory.

A worker asks for one page at a time, and decides as late as it can of which window: first of the bot
whose turn it is, then of the bots after it; of a bot first what has been begun, the earliest window
first. So no more is under way than uses the API's limit, and what is complete from the beginning on grows.
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

MOST_WAITING = 2  # pages that wait to be emitted from which on no more is asked for, of the bot whose turn it is
MOST_WAITING_LATER = 16  # pages of bots whose turn has not come that may wait, or be under way, all together
SECONDS_TO_LEAVE = 0.2  # how long to wait for workers at the end. Those that hang are left to the process's end


class ReaderPool:
    """The workers of a stream. `fetch` asks for pages, and does not wait for a first try to be due."""

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
        """Give what comes of a bot, whose turn it is.

        Yields:
            Each window's pages, in their order, and then its end; those of different windows mixed, as they
            arrive. If a window fails, those before it are first brought to their end, if that does not take long.

        Raises:
            BaseException: Whatever the reading of a window raised.
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
        """Let the reading of a bot end with an error, once the windows before this one are complete."""
        with self._changed:
            self._lane_of(span).fail(read.window.start, error)

    def records_left(self, span: BotSpan) -> float | None:
        """Say how many more records of a bot to expect, or None if that cannot be said."""
        with self._changed:
            return self._lane_of(span).records_left

    def close(self) -> None:
        """Ask for nothing more."""
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + SECONDS_TO_LEAVE
        for worker in self._workers:
            worker.join(max(0, until - time.monotonic()))

    @property
    def _in_flight(self) -> float:
        return min(self._limiter.in_flight, self._most_at_once)  # when the limit, or all workers, are used

    def _lane_of(self, span: BotSpan) -> Lane:
        return next(lane for lane in self._lanes if lane.span is span)

    def _next_arrival(self, lane: Lane) -> Arrival | Lane | None:
        """Wait a second at most for something to arrive; gives the lane itself when it is over."""
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
            except BaseException as error:  # noqa: BLE001  a run with a bug is not to hang
                with self._changed:
                    self._bug = error
                    self._changed.notify_all()

    def _next_reading(self, *, is_first: bool = False) -> tuple[Lane, Reading]:
        """Wait for something to ask for, and for the turn to do so: one worker at a time."""
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
        """See to it that somebody asks for what there is to ask for."""
        if self.stopped.is_set() or self._lane_to_read() is None:
            return
        if self._at_door:
            self._changed.notify_all()
        elif len(self._workers) < self._most_at_once:
            # A daemon, so that a request that hangs does not keep a process that is to end.
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
        except BaseException as error:  # noqa: BLE001  whatever it is, it is the bot's
            failure = error
        with self._changed:
            if reading not in lane.active:  # an earlier page of it has failed
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
        if is_full and lane.is_worth_a_cut(reading, page, is_idle=not is_busy, in_flight=in_flight):
            lane.cut_anew(reading, page, in_flight)
        else:
            lane.put(reading, page)
