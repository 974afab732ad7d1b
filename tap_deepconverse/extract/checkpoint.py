"""How far a span is complete, and where its bookmark may stand.

Pure: times are aware datetimes, and the edges of windows Unix seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_deepconverse.extract.density import Count
    from tap_deepconverse.extract.windows import Window


def next_bookmark(bookmark: datetime | None, newest: datetime | None, complete_until: datetime) -> datetime | None:
    """Say where a bookmark may stand once everything up to a point is complete.

    Args:
        bookmark: Where it stands now, or None.
        newest: The newest time seen in what is complete, or None. It may lie beyond what is complete: a
            window's records may have been updated after its end.
        complete_until: Up to where everything has been read.

    Returns:
        The newest time, but not beyond that point, and never before the present bookmark.
    """
    reached = None if newest is None else min(newest, complete_until)
    return max((moment for moment in (bookmark, reached) if moment), default=None)


class Coverage:
    """Keeps account of how far a span is complete, window by window, in whatever order."""

    def __init__(self, start: int) -> None:
        """Start with nothing read."""
        self.until = start
        self.newest: datetime | None = None
        self.counts: list[Count] = []
        self._finished: dict[int, tuple[Window, datetime | None, list[Count]]] = {}

    @property
    def until_moment(self) -> datetime:
        """Up to where everything has been read."""
        return datetime.fromtimestamp(self.until, UTC)

    def finish(self, window: Window, newest: datetime | None, counts: list[Count]) -> bool:
        """Take note that a window is complete; says whether more than before is, from the beginning on."""
        self._finished[window.start] = window, newest, counts
        before = self.until
        while finished := self._finished.pop(self.until, None):
            window, newest, counts = finished
            self.until = window.end
            self.newest = max((moment for moment in (self.newest, newest) if moment), default=None)
            self.counts += counts
        return self.until > before
