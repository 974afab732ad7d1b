"""The progress of a sync, in words for the person who watches its log."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_deepconverse.api.retry import in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SECONDS_BETWEEN_REPORTS = 10.0
SECONDS_OF_PACE = 60.0  # how far back to measure the pace, from which the time left is estimated
SECONDS_BEFORE_FORECAST = 15.0


@dataclass
class Progress:
    """The progress of a bot's stream between two points in time."""

    start: datetime
    end: datetime
    clock: Callable[[], float] = time.monotonic
    records: int = 0  # read, copies included
    windows: int = 0  # complete
    _began: float = field(init=False, default=0.0)
    _reported: float = field(init=False, default=0.0)
    _recently: deque[tuple[float, int]] = field(init=False, default_factory=deque)

    def begin(self) -> None:
        """Start the clock."""
        self._began = self._reported = self.clock()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a report. Check it whenever records have arrived."""
        now = self.clock()
        if not self._recently or now - self._recently[-1][0] >= 1:
            self._recently.append((now, self.records))
        while now - self._recently[0][0] > SECONDS_OF_PACE:
            self._recently.popleft()
        return now - self._reported >= SECONDS_BETWEEN_REPORTS

    def report(self, until: datetime, records_left: float | None) -> str:
        """Return a line about the progress.

        Args:
            until: The time up to which everything is complete.
            records_left: How many more records to expect, or None if unknown.

        Returns:
            For example "complete until 2026-03-04 05:06 UTC; 120,000 records, 2,900 a second; about 4 min left".
        """
        now = self.clock()
        self._reported = now
        since, before = self._recently[0]
        pace = (self.records - before) / max(0.001, now - since)
        line = f"complete until {until:%Y-%m-%d %H:%M} UTC; {self.records:,} records, {pace:,.0f} a second"
        if records_left and pace and now - self._began > SECONDS_BEFORE_FORECAST:
            line += f"; about {in_words(records_left / pace)} left"
        return line

    def summary(self) -> str:
        """Return "120,000 records from 2026-01-01 00:00 to 2026-03-04 05:06 UTC in 3 windows, 41 s"."""
        windows = "1 window" if self.windows == 1 else f"{self.windows:,} windows"
        return (
            f"{self.records:,} records from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC in {windows}, "
            f"{in_words(self.clock() - self._began)}"
        )
