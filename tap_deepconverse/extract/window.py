"""A window of time: how to read it, and what has come of it. Times are Unix seconds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from tap_deepconverse.records.page import Page
from tap_deepconverse.records.values import EPOCH, format_seconds

HOUR, DAY = 3_600, 86_400
MOST_PAGES = 13
"""Pages in the largest window: a larger one would delay the checkpoint too long."""
LONGEST_BY_HOURS = 14 * DAY
"""Seconds; in a longer window, records are not counted by the hour."""
AN_HOUR = len("2026-01-01T00")
A_SECOND = len("2026-01-01T00:00:00")


def moment_of(seconds: int) -> datetime:
    """Return Unix seconds as a datetime; `fromtimestamp` fails on some systems for distant years."""
    return EPOCH + timedelta(seconds=seconds)


def text_of(seconds: int) -> str:
    """Return Unix seconds as text that sorts by time, as records have it."""
    return format_seconds(seconds)[:A_SECOND]


@dataclass(frozen=True, order=True)
class Window:
    """A window of time: the records from `start` on, before `end`, in whole seconds.

    Whether the API counts `start_time` and `end_time` as inside is not documented. So a request begins a second before
    its window: whatever the API does, requests for adjacent windows leave nothing out.
    """

    start: int
    end: int

    @property
    def length(self) -> int:
        """Seconds."""
        return self.end - self.start

    def __str__(self) -> str:
        """Name the window in a log line: "the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z"."""
        return f"the window from {text_of(self.start)}Z to {text_of(self.end)}Z"

    def parts(self, number: int) -> "list[Window]":
        """Cut the window into parts of equal length, each a second at least."""
        number = max(1, min(number, self.length))
        edges = [self.start + self.length * part // number for part in range(number + 1)]
        return [Window(start, end) for start, end in pairwise(edges)]

    @cached_property
    def _edges(self) -> tuple[str, str]:
        return text_of(self.start), text_of(self.end)

    def holds(self, moment: str) -> bool:
        """Return whether a time lies in the window. As in records, it is text: RFC 3339 in UTC, of fixed width."""
        first, last = self._edges
        return first <= moment[:A_SECOND] <= last

    @cached_property
    def _shared(self) -> set[str]:
        return {text_of(max(0, second)) for edge in (self.start, self.end) for second in (edge - 1, edge)}

    def shares(self, moment: str) -> bool:
        """Return whether a time lies where requests for adjacent windows overlap."""
        return moment[:A_SECOND] in self._shared


@dataclass(eq=False)
class Reading:
    """A window that is read, page by page, and what has come of it. A copy of it (`replace`) begins anew.

    Attributes:
        expected: Pages to expect.
        most_pages: Pages after which it is cut.
        is_patient: Whether failures are retried as long as in an outage: a smaller page does not help.
        why: Why the window has this length, for the log.
        pages: Each `next` requests a page.
        sizes: Records of each page that came.
        newest: The newest time of its records, or "".
        hours: How many records each hour holds.
        pages_before: Pages of the stream that had come when the latest request was made.
        is_asked: Whether a request is in flight.
        is_complete: Whether the last page came.
    """

    window: Window
    page_size: int
    expected: float = 1.0
    most_pages: float = 2 * MOST_PAGES
    is_patient: bool = False
    why: str = ""
    pages: Iterator[Page] | None = field(default=None, init=False)
    sizes: list[int] = field(default_factory=list, init=False)
    newest: str = field(default="", init=False)
    hours: Counter[str] = field(default_factory=Counter, init=False)
    pages_before: int = field(default=0, init=False)
    is_asked: bool = field(default=False, init=False)
    is_complete: bool = field(default=False, init=False)

    @property
    def left(self) -> float:
        """Pages that are still expected."""
        return 0.0 if self.is_complete else max(1.0, self.expected - len(self.sizes))

    def per_hour(self) -> dict[int, int]:
        """Return the records of each of the window's hours; nothing for a long window."""
        if self.window.length > LONGEST_BY_HOURS:
            return {}
        first = self.window.start // HOUR * HOUR
        return {hour: self.hours[text_of(hour)[:AN_HOUR]] for hour in range(first, self.window.end, HOUR)}
