"""Adjacent windows overlap by one second, and of a record in both the newer copy has to come last."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_deepconverse.extract.windows import Window

TO_THE_SECOND = len("2026-01-01T00:00:00")


class WindowEdges:
    """A window's first and last second, as texts that compare as times do."""

    def __init__(self, window: Window) -> None:
        """Take note of a window."""
        self.window = window

    @cached_property
    def span(self) -> tuple[str, str]:
        """Its beginning and its end, to the second."""
        first, last = (datetime.fromtimestamp(edge, UTC) for edge in (self.window.start, self.window.end))
        return f"{first:%Y-%m-%dT%H:%M:%S}", f"{last:%Y-%m-%dT%H:%M:%S}"

    def hold(self, moment: str | None) -> bool:
        """Tell whether a time (RFC 3339, UTC) lies on an edge, and so may be in the adjacent window too."""
        return moment is not None and moment[:TO_THE_SECOND] in self.span


class Overlap:
    """Tells an older copy of a record that a window shares with an adjacent one.

    Adjacent windows are read at the same time, so the later window's copy may be the older one.
    """

    def __init__(self) -> None:
        """Start with no record on an edge."""
        self._newest: dict[str, str] = {}

    def is_older_copy(self, identity: str, version: str) -> bool:
        """Tell whether a newer copy of a record on an edge has come before; if not, this one counts from now on."""
        newest = self._newest.setdefault(identity, version)
        if version > newest:
            self._newest[identity] = version
        return version < newest
