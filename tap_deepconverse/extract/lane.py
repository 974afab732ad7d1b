"""The windows of one bot and stream, from planned to emitted. Nothing here waits."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from tap_deepconverse.api.errors import describe
from tap_deepconverse.api.redact import name_of
from tap_deepconverse.extract.fallback import FullPage, OddPagesError, fallback
from tap_deepconverse.extract.plan import MOST_AHEAD
from tap_deepconverse.extract.span import BotSpan
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.records.page import Page

MOST_BEYOND = 45
"""Pages that may lie beyond the checkpoint: after a kill they are read again."""


class Source(Protocol):
    """Where pages come from: the endpoint of a stream, with a rate limit of its own."""

    name: str
    full_page: FullPage

    @property
    def in_flight(self) -> float:
        """How many requests at once use the full rate limit: requests per second times seconds of an answer."""

    def wait(self, stopped: threading.Event) -> None:
        """Wait until the rate limiter allows a request; raise `StoppedError` at the end of the run."""

    def pages(self, bot_name: str, reading: Reading, stopped: threading.Event) -> Iterator[Page]:
        """Return the pages of a window; each `next` requests one."""


class Lane:
    """The windows of one bot and stream.

    Attributes:
        name: The bot and the stream, for the log.
        full: How many records a full page holds.
        open: Windows that are planned, and not yet covered by a checkpoint.
        inbox: Pages that have arrived, each with its window and its number there; None marks the window's end.
        failure: The earliest window that cannot be read: its start, and why.
    """

    def __init__(self, bot_name: str, span: BotSpan, source: Source, logger: logging.Logger) -> None:
        self.bot_name = bot_name
        self.span = span
        self.source = source
        self.name = name_of(bot_name, source.name)
        self.full = source.full_page
        self.open: list[Reading] = []
        self.inbox = deque[tuple["Reading", int, "Page | None"]]()
        self.failure: tuple[int, Exception] | None = None
        self._logger = logger
        self._logged = set[str]()

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
        going = sorted((each for each in self.open if not each.is_complete), key=lambda each: each.window)
        start = self._next_start
        # Such as a part of a cut window: no checkpoint comes before it is read.
        is_first = start is not None and not (going and going[0].window.start < start)
        # After a kill, `beyond` is read again. Near the limit only the earliest window goes on, which brings the
        # checkpoint: `kept` is room for its pages.
        beyond = sum(len(each.sizes) + each.is_asked for each in self.open)
        kept = sum(max(1, each.most_pages - len(each.sizes)) for each in going[:1])
        is_far = beyond + kept >= MOST_BEYOND and len(going) > 1
        waiting = [each for each in (going[:1] if is_far else going) if not each.is_asked]
        if is_first or (start is not None and not waiting and not is_far and self._has_room()):
            reading = self.span.planner.next(self.source.in_flight, self.full.size, self.full.asked)
            self.open.append(reading)
            waiting = [reading]
        for reading in waiting[:1]:
            reading.pages_before = self.full.pages
            return reading
        return None

    def _has_room(self) -> bool:
        """Return whether one more window may be begun."""
        planned = self.span.planner.pages(self.source.in_flight, self.full.size)
        return planned + sum(len(each.sizes) + each.left for each in self.open) <= MOST_AHEAD

    def fetch(self, reading: Reading, stopped: threading.Event) -> Page:
        """Request the next page of a window. Called by a worker."""
        if reading.pages is None:
            reading.pages = self.source.pages(self.bot_name, reading, stopped)
        return next(reading.pages)

    def put(self, reading: Reading, page: Page, at_once: int) -> None:
        """Take a page, which waits to be emitted; or let its window be cut.

        `at_once` requests of the stream were in flight together with this one. Raises `OddPagesError` if the page
        comes as the last of its window, but cannot be.
        """
        reading.sizes.append(len(page.data))
        self.full.take(page, reading)
        is_full = page.cursor is not None and len(page.data) >= min(self.full.size, reading.page_size)
        in_flight = self.source.in_flight
        spare = in_flight - at_once if self._next_start is None else 0.0
        if is_full and self.span.planner.is_outgrown(reading, in_flight, spare):
            self.open.remove(reading)
            self.span.planner.cut(reading, in_flight, self.full.size)
            return
        number = len(reading.sizes)
        self.inbox.append((reading, number, page))
        if page.cursor is None:
            reading.is_complete = True
            reading.pages = None  # which holds a page
            self.inbox.append((reading, number, None))

    def finish(self, reading: Reading) -> bool:
        """Record that a window has been emitted; return whether the bot is complete further than before."""
        records = sum(reading.sizes)
        took = f"{len(reading.sizes)} pages, {records:,} records"
        self._logger.debug("%s: %s is complete: %s; planned %s", self.name, reading.window, took, reading.why)
        is_further = self.span.finish(reading)
        self.open = [each for each in self.open if each.window.end > self.span.until]
        return is_further

    def fall_back(self, reading: Reading, error: Exception) -> None:
        """Plan to read a failed window in another way, and log how; raise `ExtractionError` if there is none."""
        how, instead = fallback(reading, error, self.full)
        self.open.remove(reading)
        self.span.planner.read_again(*instead)
        level = logging.DEBUG
        if how not in self._logged and not (isinstance(error, OddPagesError) and error.is_chance):
            level = logging.WARNING
            self._logged.add(how)
        self._logger.log(level, "%s: %s; reading %s again %s", self.name, describe(error), reading.window, how)

    def fail(self, start: int, error: Exception) -> None:
        """Record that the window from `start` on cannot be read or emitted. Those before it are still read."""
        if self.failure is None or start < self.failure[0]:
            self.failure = start, error
        start = self.failure[0]
        self.open = [each for each in self.open if each.window.start < start]
        self.inbox = deque(each for each in self.inbox if each[0].window.start < start)

    def give_up(self) -> None:
        """Wait no longer for the windows before the one that failed."""
        if self.failure and self.open:
            self.fail(min(each.window.start for each in self.open), self.failure[1])

    def read_in_one(self) -> None:
        """Read the rest of the span in a single window."""
        self.span.read_in_one(self.full.asked)
        self.open.clear()
        self.inbox.clear()
