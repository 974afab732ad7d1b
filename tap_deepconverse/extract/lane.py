"""The state of one bot's reading: its open windows, and the pages that wait to be emitted.

Nothing here waits or locks: the pool does.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_deepconverse.extract.another_way import ExtractionError
from tap_deepconverse.extract.windows import MOST_AHEAD, MOST_BEYOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_deepconverse.extract.another_way import UnreadableWindow
    from tap_deepconverse.extract.span import BotSpan
    from tap_deepconverse.extract.windows import Window, WindowRead
    from tap_deepconverse.records.page import Page

    Fetch = Callable[[BotSpan, WindowRead], Iterator[Page]]

# How long windows before a failed one may still take, so that their records are not lost
SECONDS_FOR_EARLIER_WINDOWS = 5.0


@dataclass(frozen=True)
class Arrival:
    """A page of a window, or the window's end."""

    read: WindowRead
    number: int  # of the page within its window, from 1
    records: int  # of the window so far
    page: Page | None  # None at the window's end

    def __str__(self) -> str:
        """Name the page in a log line: "page 3 of the window from ... to ..."."""
        return f"page {self.number} of {self.read.window}"


@dataclass(eq=False)
class Reading:
    """A window that is being read, page by page."""

    read: WindowRead
    pages: Iterator[Page]
    number: int = 0
    records: int = 0

    @property
    def start(self) -> int:
        """The start of the window."""
        return self.read.window.start


@dataclass
class Lane:
    """The windows of one bot, from planned to emitted."""

    span: BotSpan
    ready: list[Reading] = field(default_factory=list)  # started, with more pages
    active: list[Reading] = field(default_factory=list)  # with a request in flight
    arrived: deque[Arrival] = field(default_factory=deque)  # not emitted yet
    # For each window beyond the checkpoint: how many pages it may take, and how many it has taken.
    planned: dict[Window, float] = field(default_factory=dict)
    read: dict[Window, int] = field(default_factory=dict)
    complete_until: int = 0
    since_checkpoint: int = 0  # pages that have arrived since the last checkpoint
    failure: tuple[int, BaseException, float] | None = None  # the earliest: its start, its error, a deadline for others

    @property
    def is_over(self) -> bool:
        """Whether no more pages will come."""
        if self.arrived:
            return False
        first_left = min(
            [reading.start for reading in (*self.ready, *self.active)]
            + [start for start in [self.span.planner.next_start] if start is not None],
            default=None,
        )
        if first_left is None or self.failure is None:
            return first_left is None
        return first_left >= self.failure[0] or time.monotonic() > self.failure[2]

    def forget_complete(self) -> None:
        """Forget the windows before the checkpoint."""
        until = self.span.coverage.until
        if until > self.complete_until:
            self.complete_until = until
            self.since_checkpoint = sum(arrival.page is not None for arrival in self.arrived)
        for pages in (self.planned, self.read):
            for window in [window for window in pages if window.end <= until]:
                del pages[window]

    def is_wanted(self, start: int) -> bool:
        """Return whether a window is still to be read."""
        return self.failure is None or start < self.failure[0]

    @property
    def records_left(self) -> float | None:
        """How many more records to expect, or None if unknown."""
        left = self.span.planner.expected_left
        if left is None:
            return None
        return left + sum(max(0, reading.read.expected - reading.records) for reading in (*self.ready, *self.active))

    def fail(self, start: int, error: BaseException) -> None:
        """Record that a window cannot be read or emitted; the earliest failure counts."""
        self.active = [reading for reading in self.active if reading.start != start]
        until = self.failure[2] if self.failure else time.monotonic() + SECONDS_FOR_EARLIER_WINDOWS
        if self.failure is None or start < self.failure[0]:
            self.failure = start, error, until

    def begin(self, fetch: Fetch, in_flight: float) -> Reading:
        """Choose the window whose page to request next: started windows first, and the earliest first.

        Parts of a window that was cut are the exception: starting them at once shortens the run.
        """
        ready, room = self._to_go_on_with(), self._room
        if ready and not (room > 0 and self.span.planner.has_parts and self.can_begin):
            reading = min(ready, key=self._rank)
            self.ready.remove(reading)
        else:
            read = self.span.planner.next(in_flight, max(1.0, room))
            reading = Reading(read, fetch(self.span, read))
            self.planned[read.window] = read.expected_pages
        self.active.append(reading)
        return reading

    def put(self, reading: Reading, page: Page) -> None:
        """Queue a page to be emitted."""
        read = reading.read
        self.active.remove(reading)
        self.arrived.append(Arrival(read, reading.number, reading.records, page))
        self.since_checkpoint += 1
        self.planned[read.window] = self.read[read.window] = reading.number
        if page.cursor is not None:
            self.planned[read.window] = max(read.expected_pages, reading.number)
            self.ready.append(reading)
            return
        next(reading.pages, None)  # ends the iterator, without a request: there is no cursor
        self.span.planner.learn(read, reading.records)
        self.arrived.append(Arrival(read, reading.number, reading.records, None))

    def replace(self, reading: Reading, error: UnreadableWindow) -> None:
        """Plan to read a failed window in another way, if there is one."""
        self.active.remove(reading)
        self._forget(reading)
        try:
            self.span.planner.again(*self.span.in_another_way(reading.read, error))
        except ExtractionError as failure:
            self.fail(reading.start, failure)

    def cut_if_worth_it(self, reading: Reading, page: Page, *, is_idle: bool, in_flight: float) -> bool:
        """Plan to read a window in parts if that pays, after a full page of it; return whether it does."""
        read, planner = reading.read, self.span.planner
        is_telling = reading.number >= read.expected_pages or (is_idle and reading.number == 1)
        times = self.span.times_of(page) if is_telling else []
        if not planner.is_worth_a_cut(read, reading.number, times, is_idle=is_idle, in_flight=in_flight):
            return False
        self.active.remove(reading)
        self._forget(reading)
        planner.cut_anew(read, reading.number, times if is_telling else self.span.times_of(page), in_flight)
        return True

    @property
    def at_work(self) -> int:
        """How many windows have a request in flight, or a page that may be requested."""
        return len(self.active) + len(self._to_go_on_with())

    @property
    def can_begin(self) -> bool:
        """Whether another window may be started."""
        start = self.span.planner.next_start
        if start is None or not self.is_wanted(start):
            return False
        return self._room > 0 or not (self.ready or self.active or self.arrived) or start <= self.span.coverage.until

    @property
    def _room(self) -> float:
        """How many more pages may be planned, so that checkpoints come in time and not too much lies beyond them."""
        planned = sum(self.planned.values())
        to_come = planned - sum(self.read.values())
        return min(MOST_AHEAD - self.since_checkpoint - to_come, MOST_BEYOND - planned)

    @property
    def can_go_on(self) -> bool:
        """Whether there is a page to request."""
        return self.can_begin or bool(self._to_go_on_with())

    def _to_go_on_with(self) -> list[Reading]:
        """Return the windows whose next page may be requested.

        Far ahead of the checkpoint that is only the earliest window, so that the next checkpoint comes in time.
        """
        ready = [reading for reading in self.ready if self.is_wanted(reading.start)]
        first = min(self.planned, key=lambda window: window.start, default=None)
        if first is None:
            return ready
        left = self.planned[first] - self.read.get(first, 0)
        is_far_ahead = self.since_checkpoint + len(self.active) + left >= MOST_AHEAD
        return [reading for reading in ready if reading.start == first.start] if is_far_ahead else ready

    def _rank(self, reading: Reading) -> tuple[float, int]:
        """Rank the earliest window first; near the end of the span the longest, so that none is read alone."""
        left = 0.0 if self.span.planner.next_start is not None else self.planned[reading.read.window] - reading.number
        return -left, reading.start

    def _forget(self, reading: Reading) -> None:
        self.planned.pop(reading.read.window, None)
        self.read.pop(reading.read.window, None)
