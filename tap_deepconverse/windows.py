"""Time cut into windows, and what reading a window whole says about the bookmark.

Pure: nothing in this module knows of HTTP or of Singer, and times are Unix seconds or aware
datetimes throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    @property
    def end_moment(self) -> datetime:
        """The window's end as a moment."""
        return datetime.fromtimestamp(self.end, UTC)

    @property
    def start_moment(self) -> datetime:
        """The window's beginning as a moment."""
        return datetime.fromtimestamp(self.start, UTC)


def windows(start: datetime, end: datetime, longest: timedelta) -> Iterator[Window]:
    """Cut a span of time into consecutive windows.

    Args:
        start: Where the first window begins. A fraction of a second is rounded down.
        end: Where the last window ends. A fraction of a second is rounded up.
        longest: The longest a window may be: at least a second, a fraction is cut off.

    Yields:
        Windows that together cover the span, each beginning where the one before ends; none if
        the span is empty.

    Examples:
        >>> day = datetime(2026, 1, 1, tzinfo=UTC)
        >>> [w.end - w.start for w in windows(day, day + timedelta(days=2.5), timedelta(days=1))]
        [86400, 86400, 43200]
    """
    if start >= end:
        return
    edge, last = math.floor(start.timestamp()), math.ceil(end.timestamp())
    while edge < last:
        following = min(edge + int(longest.total_seconds()), last)
        yield Window(edge, following)
        edge = following


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
