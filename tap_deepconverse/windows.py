"""Time cut into windows, and what reading a window whole says about the bookmark.

Pure: nothing in this module knows of HTTP or of Singer, and times are Unix seconds or aware
datetimes throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time to ask the API for, in whole Unix seconds, which is what the API takes.

    Whether the API counts the second `end` in is not documented. Neighbouring windows therefore
    share their edge: it belongs to the later one in any case.
    """

    start: int
    end: int

    def __str__(self) -> str:
        """Name the window in a log line.

        Returns:
            For example "the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z".
        """
        return f"the window from {self.start_moment:%Y-%m-%dT%H:%M:%SZ} to {self.end_moment:%Y-%m-%dT%H:%M:%SZ}"

    def halves(self) -> tuple[Window, ...]:
        """Cut the window in two.

        Returns:
            Its halves, or the window as it is, if it is no longer than a second.
        """
        middle = (self.start + self.end) // 2
        if middle == self.start:
            return (self,)
        return Window(self.start, middle), Window(middle, self.end)

    @property
    def end_moment(self) -> datetime:
        """The window's end as a moment."""
        return datetime.fromtimestamp(self.end, UTC)

    @property
    def start_moment(self) -> datetime:
        """The window's beginning as a moment."""
        return datetime.fromtimestamp(self.start, UTC)


def next_bookmark(bookmark: datetime | None, newest: datetime | None, whole_until: datetime) -> datetime | None:
    """Say where a bookmark may stand once everything up to a point has been read whole.

    Args:
        bookmark: Where it stands now, or None if it does not.
        newest: The newest time that was seen in what has been read, or None if none was.
        whole_until: Up to where everything has been read. The newest time may lie beyond it: a
            window's records may have been updated after its end.

    Returns:
        The newest time, but not beyond that point, and never behind the present bookmark.
    """
    reached = None if newest is None else min(newest, whole_until)
    return max((moment for moment in (bookmark, reached) if moment), default=None)


def shows_selection(window: Window, began: datetime, updated: datetime) -> Literal["began", "updated"] | None:
    """See whether a record shows which of its times the API selects by.

    Args:
        window: The window that the record was found in.
        began: When what it tells of began.
        updated: When that was last updated.

    Returns:
        The only one of the two that lies in the window, or None if that can't be said.
    """
    # A second more, since the archive may hold whole seconds only.
    end = window.end_moment + timedelta(seconds=1)
    has_begun_in, was_updated_in = (window.start_moment <= moment <= end for moment in (began, updated))
    if has_begun_in == was_updated_in:
        return None
    return "began" if has_begun_in else "updated"


FIRST_WINDOW = 86_400
"""Seconds. A day says how busy a bot is, and seldom takes more than a few requests."""

MOST_PAGES = 20
"""The largest window, in pages: where more is lost than that, a checkpoint has come too late."""

FEWEST_PAGES = 2
"""The smallest window, in pages, where there is more: the last page of each is half empty."""

FASTEST_GROWTH = 16
"""How many times longer than any before a window may be: what was quiet may become busy."""

MARGIN = 2.5
"""Standard deviations of the expected number of records to stay below a whole number of pages."""

FORGETTING = 0.8
"""How much of what was known of a bot's business still counts after another window."""


class WindowPlanner:
    """Cuts a span into windows that fit what they hold, as it becomes known.

    A window ends with a page that is partly empty, so windows should be few; but each is read page by
    page, so there should be as many as have to be read at once to use the API's limit. Both follow from
    what has been seen: how many records there are to a second, and how long an answer takes.
    """

    def __init__(self, start: datetime, end: datetime, longest: timedelta, page_size: int, readers: int) -> None:
        """Plan to read a span.

        Args:
            start: Where it begins. A fraction of a second is rounded down.
            end: Where it ends, later than that. A fraction of a second is rounded up.
            longest: The longest a window may be.
            page_size: How many records a page holds.
            readers: How many windows can be read at once.
        """
        self._edge, self._end = math.floor(start.timestamp()), math.ceil(end.timestamp())
        self._longest = int(longest.total_seconds())
        self._page_size = page_size
        self._readers = readers
        self._records = 0.0
        self._seconds = 0.0
        self._longest_yet = min(FIRST_WINDOW, self._longest)

    @property
    def has_more(self) -> bool:
        """Whether there are windows left to read."""
        return self._edge < self._end

    def next_window(self, in_flight: float) -> Window | None:
        """Cut the next window.

        Args:
            in_flight: How many requests are under way at a time when the API's limit is used: requests
                a second times the seconds that an answer takes.

        Returns:
            The window that follows the one before, or None at the end.
        """
        left = self._end - self._edge
        if left <= 0:
            return None
        length = self._length(left, in_flight)
        if left - length < 0.15 * length:
            length = left
        length = max(1, min(int(length), self._longest, left))
        self._longest_yet = max(self._longest_yet, length)
        window = Window(self._edge, self._edge + length)
        self._edge += length
        return window

    def learn(self, window: Window, records: int) -> None:
        """Take note of how much a window held.

        Args:
            window: A window that has been read whole.
            records: How many records it held.
        """
        self._records = FORGETTING * self._records + records
        self._seconds = FORGETTING * self._seconds + window.end - window.start

    def _length(self, left: int, in_flight: float) -> float:
        if not self._seconds:
            return self._longest_yet
        longest = self._longest_yet * FASTEST_GROWTH
        if not self._records:
            return longest
        records_per_second = self._records / self._seconds
        pages_left = left * records_per_second / self._page_size
        pages = pages_left / min(self._readers, max(1, math.ceil(1.2 * in_flight)))
        pages = math.floor(min(max(pages, FEWEST_PAGES), MOST_PAGES))
        if pages >= pages_left:
            return min(left, longest)
        records = pages * self._page_size
        return min((records - MARGIN * math.sqrt(records)) / records_per_second, longest)


class Coverage:
    """Keeps account of how far a span has been read whole, window by window, in whatever order."""

    def __init__(self, start: datetime) -> None:
        """Start with nothing read.

        Args:
            start: Where the first window begins. A fraction of a second is rounded down.
        """
        self._whole_until = math.floor(start.timestamp())
        self._finished: dict[int, tuple[int, datetime | None]] = {}
        self.newest: datetime | None = None

    @property
    def whole_until(self) -> datetime:
        """Up to where everything has been read."""
        return datetime.fromtimestamp(self._whole_until, UTC)

    def finish(self, window: Window, newest: datetime | None) -> int:
        """Take note that a window has been read whole.

        Args:
            window: The window.
            newest: The newest time seen in it.

        Returns:
            How many windows have become part of what is whole from the beginning on.
        """
        self._finished[window.start] = window.end, newest
        before = len(self._finished)
        while finished := self._finished.pop(self._whole_until, None):
            self._whole_until, newest_in_window = finished
            self.newest = max((moment for moment in (self.newest, newest_in_window) if moment), default=None)
        return before - len(self._finished)
