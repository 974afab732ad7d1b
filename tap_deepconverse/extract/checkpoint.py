"""Tracks how far a span is complete, and so where its bookmark may be.

Pure. Times are aware datetimes; the edges of windows are Unix seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_deepconverse.extract.density import Count
    from tap_deepconverse.extract.windows import Window


def next_bookmark(bookmark: datetime | None, newest: datetime | None, complete_until: datetime) -> datetime | None:
    """Return where a bookmark may be once everything up to a point is complete.

    Args:
        bookmark: The present bookmark, or None.
        newest: The newest time seen in complete windows, or None. It may be later than `complete_until`: a window's
            records may have been updated after its end.
        complete_until: The time up to which everything has been read.

    Returns:
        The newest time, but no later than `complete_until`, and never before the present bookmark.
    """
    reached = None if newest is None else min(newest, complete_until)
    return max((moment for moment in (bookmark, reached) if moment), default=None)


class Coverage:
    """Tracks how far a span is complete, by windows that finish in any order."""

    def __init__(self, start: int) -> None:
        """Start with nothing read."""
        self.until = start
        self.newest: datetime | None = None
        self.counts: list[Count] = []
        self._finished: dict[int, tuple[Window, datetime | None, list[Count]]] = {}

    @property
    def until_moment(self) -> datetime:
        """The time up to which everything has been read."""
        return datetime.fromtimestamp(self.until, UTC)

    def finish(self, window: Window, newest: datetime | None, counts: list[Count]) -> bool:
        """Record that a window is complete; return whether the span is complete further than before."""
        self._finished[window.start] = window, newest, counts
        before = self.until
        while finished := self._finished.pop(self.until, None):
            window, newest, counts = finished
            self.until = window.end
            self.newest = max((moment for moment in (self.newest, newest) if moment), default=None)
            self.counts += counts
        return self.until > before
