"""Adjacent windows overlap by one second. If a record is in both, the newer copy must be emitted last."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_deepconverse.extract.windows import Window

TO_THE_SECOND = len("2026-01-01T00:00:00")


class WindowEdges:
    """A window's first and last second, as text that sorts by time."""

    def __init__(self, window: Window) -> None:
        """Take a window."""
        self.window = window

    @cached_property
    def span(self) -> tuple[str, str]:
        """Its start and end, to the second."""
        first, last = (datetime.fromtimestamp(edge, UTC) for edge in (self.window.start, self.window.end))
        return f"{first:%Y-%m-%dT%H:%M:%S}", f"{last:%Y-%m-%dT%H:%M:%S}"

    def hold(self, moment: str | None) -> bool:
        """Return whether a time (RFC 3339, UTC) lies on an edge, so that the adjacent window may have it too."""
        return moment is not None and moment[:TO_THE_SECOND] in self.span


class Overlap:
    """Recognizes an older copy of a record that two adjacent windows share.

    Adjacent windows are read at the same time, so the later window's copy may be the older one.
    """

    def __init__(self) -> None:
        """Start with no record on an edge."""
        self._newest: dict[str, str] = {}

    def is_older_copy(self, identity: str, version: str) -> bool:
        """Return whether a newer copy of a record on an edge has come before; if not, remember this one."""
        newest = self._newest.setdefault(identity, version)
        if version > newest:
            self._newest[identity] = version
        return version < newest
