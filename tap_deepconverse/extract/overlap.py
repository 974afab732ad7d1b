"""What a window's records show: its newest time, its records by the hour, and copies that another window had too."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tap_deepconverse.extract.window import DAY, HOUR, Window, moment_of

AN_HOUR = len("2026-01-01T00")
A_SECOND = len("2026-01-01T00:00:00")
LONGEST_BY_HOURS = 14 * DAY
"""Seconds; in a longer window, records are not counted by the hour."""


def text_of(seconds: int) -> str:
    """Return Unix seconds as text that sorts by time, as records have it."""
    return f"{moment_of(seconds):%Y-%m-%dT%H:%M:%S}"


@dataclass
class Seen:
    """What has been seen of a window so far. Times are text: RFC 3339 in UTC, of fixed width."""

    window: Window
    newest: str = ""
    hours: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Write the edges as text once, as each record is compared with them."""
        start, end = self.window.start, self.window.end
        self._shared = {text_of(second) for second in (max(0, start - 1), start, max(0, end - 1), end)}
        self._first, self._last = text_of(start), text_of(end)

    def is_inside(self, moment: str) -> bool:
        """Return whether a time lies in the window."""
        return self._first <= moment[:A_SECOND] <= self._last

    def is_shared(self, moment: str) -> bool:
        """Return whether a time lies where requests for adjacent windows overlap."""
        return moment[:A_SECOND] in self._shared

    def per_hour(self) -> dict[int, int]:
        """Return the records of each of the window's hours (Unix seconds); nothing for a long window."""
        if self.window.length > LONGEST_BY_HOURS:
            return {}
        first = self.window.start // HOUR * HOUR
        hours = {text_of(hour)[:AN_HOUR]: hour for hour in range(first, self.window.end, HOUR)}
        return {hour: self.hours[text] for text, hour in hours.items()}


class Copies:
    """Recognizes older copies of records that several windows returned.

    Windows are read at the same time, so the copy that comes later may be the older one.
    """

    def __init__(self) -> None:
        self._newest: dict[str, tuple[str, Window]] = {}

    def came_elsewhere(self, identity: str, window: Window) -> bool:
        """Return whether a copy of the record has come for another window that does not overlap this one."""
        other = self._newest.get(identity, ("", window))[1]
        return other.end <= window.start or window.end <= other.start

    def is_older(self, identity: str, version: str, window: Window) -> bool:
        """Return whether a newer copy of a record has come before; if not, remember this one."""
        newest, _ = self._newest.setdefault(identity, (version, window))
        if version > newest:
            self._newest[identity] = version, window
        return version < newest
