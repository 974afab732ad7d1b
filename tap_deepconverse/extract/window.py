"""A window of time to request, and how to read it. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

HOUR, DAY = 3_600, 86_400
MOST_PAGES = 13
"""Pages in the largest window: a larger one would delay the checkpoint too long."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(seconds: int) -> datetime:
    """Return Unix seconds as a datetime; `fromtimestamp` fails on some systems for distant years."""
    return _EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A window of time: the records from `start` on, before `end`, in whole Unix seconds.

    Whether the API counts `start_time` and `end_time` as inside is not documented. So a request begins a second before
    its window: whatever the API does, requests for adjacent windows leave nothing out.
    """

    start: int
    end: int

    @property
    def start_time(self) -> int:
        """The parameter of the request."""
        return max(0, self.start - 1)

    @property
    def length(self) -> int:
        """Seconds."""
        return self.end - self.start

    def __str__(self) -> str:
        """Name the window in a log line: "the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z"."""
        return f"the window from {moment_of(self.start):%Y-%m-%dT%H:%M:%SZ} to {moment_of(self.end):%Y-%m-%dT%H:%M:%SZ}"

    def parts(self, number: int) -> list[Window]:
        """Cut the window into parts of equal length, each a second at least."""
        number = max(1, min(number, self.length))
        edges = [self.start + self.length * part // number for part in range(number + 1)]
        return [Window(start, end) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A window to read, and how to read it.

    Attributes:
        expected: Pages to expect.
        most_pages: Pages after which it is cut.
        is_smaller: Whether its pages are smaller, since larger ones failed.
        is_patient: Whether failures are retried as long as in an outage: a smaller page did not help.
        why: Why the window has this length, for the log.
    """

    window: Window
    page_size: int
    expected: float = 1.0
    most_pages: float = 2 * MOST_PAGES
    is_smaller: bool = False
    is_patient: bool = False
    why: str = ""
