"""How far a sync has come, in words for the person who watches its log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SECONDS_BETWEEN_REPORTS = 5.0


@dataclass
class Progress:
    """How far the extraction of a bot's stream has come.

    Attributes:
        start: Where in time the extraction begins.
        end: Where it ends, later than that.
        clock: Gives the time that has gone by, in seconds.
        records: How many records have been handed on.
        windows: How many windows have been read whole.
    """

    start: datetime
    end: datetime
    clock: Callable[[], float] = time.monotonic
    records: int = 0
    windows: int = 0
    _began: float = field(init=False)
    _reported: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began = self._reported = self.clock()

    def report(self, until: datetime) -> str | None:
        """Say how far things have come, unless it was said a moment ago.

        Args:
            until: Up to where in time everything has been read.

        Returns:
            For example "read until 2026-03-04 05:06 UTC, 34 % of the span; 120,000 records, 2,900
            a second; about 4 min left", or None.
        """
        now = self.clock()
        if now - self._reported < SECONDS_BETWEEN_REPORTS:
            return None
        self._reported = now
        share = (until - self.start) / (self.end - self.start)
        left = (now - self._began) * (1 - share) / share
        return (
            f"read until {until:%Y-%m-%d %H:%M} UTC, {share:.0%} of the span; {self.records:,} records, "
            f"{self.records / (now - self._began):,.0f} a second; about {in_words(left)} left"
        )

    def summary(self) -> str:
        """Sum up an extraction that has come to its end.

        Returns:
            For example "120,000 records from 2026-01-01 00:00 to 2026-03-04 05:06 UTC in 3 windows, 41 s".
        """
        windows = "1 window" if self.windows == 1 else f"{self.windows:,} windows"
        return (
            f"{self.records:,} records from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC in {windows}, "
            f"{in_words(self.clock() - self._began)}"
        )


def in_words(seconds: float) -> str:
    """Write a duration as a person would.

    Args:
        seconds: The duration.

    Returns:
        Seconds below two minutes, minutes below two hours, hours below two days, else days.
    """
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 7200:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:  # noqa: PLR2004
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
