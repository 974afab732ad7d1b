"""The windows of one bot and stream, from planned to emitted. Nothing here waits."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tap_deepconverse.api.errors import describe
from tap_deepconverse.extract.fallback import fallback
from tap_deepconverse.extract.plan import MOST_AHEAD

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tap_deepconverse.extract.fallback import FullPage
    from tap_deepconverse.extract.span import BotSpan
    from tap_deepconverse.extract.window import Window, WindowRead
    from tap_deepconverse.records.page import Page

MOST_BEYOND = 45
"""Pages that may lie beyond the checkpoint: after a kill they are read again."""


class Source(Protocol):
    """Where pages come from: the endpoint of a stream, with a rate limit of its own."""

    @property
    def name(self) -> str:
        """The stream."""

    @property
    def full_page(self) -> FullPage:
        """How many records a full page holds."""

    @property
    def in_flight(self) -> float:
        """How many requests at once use the full rate limit: requests per second times seconds of an answer."""

    def wait(self, stopped: threading.Event) -> None:
        """Wait until the rate limiter allows a request; raise `StoppedError` at the end of the run."""

    def pages(self, bot_name: str, read: WindowRead, stopped: threading.Event) -> Iterator[Page]:
        """Return the pages of a window; each `next` requests one."""


@dataclass(eq=False)
class Reading:
    """A window that is being read, page by page.

    Attributes:
        sizes: Records of each page that came.
        pages_before: Pages of the stream that had come when this request was made.
        is_asked: Whether a request is in flight.
        is_complete: Whether the last page came.
    """

    lane: Lane
    read: WindowRead
    sizes: list[int] = field(default_factory=list)
    pages_before: int = 0
    is_asked: bool = False
    is_complete: bool = False
    _pages: Iterator[Page] | None = None

    @property
    def number(self) -> int:
        """Pages that came."""
        return len(self.sizes)

    @property
    def records(self) -> int:
        """Records that came."""
        return sum(self.sizes)

    def next_page(self, stopped: threading.Event) -> Page:
        """Request the next page. Called by a worker, one at a time."""
        if self._pages is None:
            self._pages = self.lane.source.pages(self.lane.bot_name, self.read, stopped)
        return next(self._pages)

    @property
    def left(self) -> float:
        """Pages that are still expected."""
        return 0.0 if self.is_complete else max(1.0, self.read.expected - self.number)


@dataclass(frozen=True)
class Arrival:
    """A page of a window; without one, the window's end.

    Attributes:
        number: The page's number in its window, from 1.
    """

    reading: Reading
    number: int
    page: Page | None

    def __str__(self) -> str:
        """Name the page in a log line: "page 3 of the window from ... to ..."."""
        return f"page {self.number} of {self.reading.read.window}"


@dataclass(eq=False)
class Lane:
    """The windows of one bot and stream.

    Attributes:
        open: Windows that are planned, and not yet covered by a checkpoint.
        inbox: What has arrived, and is not emitted yet.
        failure: The earliest window that cannot be read: its start, and why.
    """

    bot_name: str
    span: BotSpan
    source: Source
    logger: logging.Logger
    open: list[Reading] = field(default_factory=list)
    inbox: deque[Arrival] = field(default_factory=deque)
    failure: tuple[int, Exception] | None = None
    _logged: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The bot and the stream, for the log."""
        return f"Bot '{self.bot_name}', stream '{self.source.name}'"

    @property
    def full(self) -> FullPage:
        """How many records a full page holds."""
        return self.source.full_page

    @property
    def is_over(self) -> bool:
        """Whether all pages have come that will."""
        return self._next_start is None and all(each.is_complete for each in self.open)

    @property
    def records_left(self) -> float | None:
        """How many more records to expect, or None if unknown."""
        left = self.span.planner.expected_left
        return None if left is None else left + sum(each.left for each in self.open) * self.full.size

    @property
    def _next_start(self) -> int | None:
        start = self.span.planner.next_start
        return None if start is None or (self.failure and start >= self.failure[0]) else start

    def next(self) -> Reading | None:
        """Return the window whose next page to request, if there is one: started ones first, the earliest first."""
        going = sorted((each for each in self.open if not each.is_complete), key=lambda each: each.read.window)
        start = self._next_start
        is_first = start is not None and not (going and going[0].read.window.start < start)  # such as a half
        waiting = [each for each in self._allowed(going) if not each.is_asked]
        if is_first or (start is not None and not waiting and self._has_room(going)):
            planner = self.span.planner
            reading = Reading(self, planner.next(self.source.in_flight, self.full.size, self.full.asked))
            self.open.append(reading)
            waiting = [reading]
        for reading in waiting[:1]:
            reading.pages_before = self.full.pages
            return reading
        return None

    def _allowed(self, going: list[Reading]) -> list[Reading]:
        """Return the windows that may go on: if little is allowed beyond the checkpoint, the first, which brings it."""
        beyond = sum(each.number + each.is_asked for each in self.open)
        kept = sum(max(1, each.read.most_pages - each.number) for each in going[:1])
        return going[:1] if beyond + kept >= MOST_BEYOND else going

    def _has_room(self, going: list[Reading]) -> bool:
        """Return whether one more window may be begun."""
        planned = self.span.planner.pages(self.source.in_flight, self.full.size)
        ahead = sum(each.number + each.left for each in self.open)
        return ahead + planned <= MOST_AHEAD and self._allowed(going) == going

    def put(self, reading: Reading, page: Page, at_once: int) -> None:
        """Take a page, which waits to be emitted; or let its window be cut.

        Args:
            reading: Its window.
            page: The page.
            at_once: Requests of the stream that were in flight together with this one.

        Raises:
            MissingRecordsError: If it comes as the last of its window, but cannot be.
        """
        reading.sizes.append(len(page.data))
        self.full.learn(page, reading.read)
        self.full.require_end(page, reading.read, reading.sizes)
        is_full = page.cursor is not None and len(page.data) >= min(self.full.size, reading.read.page_size)
        in_flight = self.source.in_flight
        spare = in_flight - at_once if self._next_start is None else 0.0
        if is_full and self.span.planner.is_outgrown(reading.read, reading.number, in_flight, spare):
            self.open.remove(reading)
            self.span.planner.cut(reading.read, reading.number, in_flight, self.full.size)
            return
        self.inbox.append(Arrival(reading, reading.number, page))
        if page.cursor is None:
            reading.is_complete = True
            self.inbox.append(Arrival(reading, reading.number, None))

    def finish(self, reading: Reading) -> bool:
        """Record that a window has been emitted; return whether the bot is complete further than before."""
        read = reading.read
        took = f"{reading.number} pages, {reading.records:,} records"
        self.logger.debug("%s: %s is complete: %s; planned %s", self.name, read.window, took, read.why)
        is_further = self.span.finish(read.window, reading.records)
        self.open = [each for each in self.open if each.read.window.end > self.span.until]
        return is_further

    def fall_back(self, reading: Reading, error: Exception) -> None:
        """Plan to read a failed window in another way, and log how.

        Raises:
            ExtractionError: If there is no other way.
        """
        how, instead = fallback(reading.read, error, others_come=self.full.pages > reading.pages_before)
        self.open.remove(reading)
        self.span.planner.replace(*instead)
        level = logging.DEBUG if how in self._logged else logging.WARNING
        self._logged.add(how)
        self.logger.log(level, "%s: %s; reading %s again %s", self.name, describe(error), reading.read.window, how)

    def fail(self, window: Window, error: Exception) -> None:
        """Record that a window cannot be read or emitted. Those before it are still read."""
        if self.failure is None or window.start < self.failure[0]:
            self.failure = window.start, error
        start = self.failure[0]
        self.open = [each for each in self.open if each.read.window.start < start]
        self.inbox = deque(each for each in self.inbox if each.reading.read.window.start < start)

    def give_up(self) -> None:
        """Wait no longer for the windows before the one that failed."""
        if self.failure and self.open:
            self.fail(min(each.read.window for each in self.open), self.failure[1])

    def read_in_one(self) -> None:
        """Read the rest of the span in a single window."""
        self.span.read_in_one(self.full.asked)
        self.open.clear()
        self.inbox.clear()
