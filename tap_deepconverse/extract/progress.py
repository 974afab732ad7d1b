"""The progress of a sync, in words for the person who watches its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_deepconverse.api.redact import in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SECONDS_BETWEEN_REPORTS = 10.0


@dataclass
class Progress:
    """The progress of a bot's stream between two points in time.

    Attributes:
        records: Records read, copies included.
        windows: Complete windows.
    """

    start: datetime
    end: datetime
    clock: Callable[[], float]
    records: int = 0
    windows: int = 0
    _began: float | None = None
    _reported: float = 0.0

    def is_due(self) -> bool:
        """Return whether it is time for a report. To be asked whenever records have arrived."""
        now = self.clock()
        if self._began is None:
            self._began = self._reported = now
        return now - self._reported >= SECONDS_BETWEEN_REPORTS

    def report(self, until: datetime, records_left: float | None) -> str:
        """Return "complete until 2026-03-04 05:06 UTC; 120,000 records, 2,900 a second; about 4 min left".

        Args:
            until: The time up to which everything is complete.
            records_left: How many more records to expect, or None if unknown.
        """
        self._reported = self.clock()
        pace = self.records / max(0.001, self._seconds)
        line = f"complete until {until:%Y-%m-%d %H:%M} UTC; {self.records:,} records, {pace:,.0f} a second"
        return f"{line}; about {in_words(records_left / pace)} left" if records_left and pace else line

    def summary(self) -> str:
        """Return "120,000 records from 2026-01-01 00:00 to 2026-03-04 05:06 UTC in 3 windows, 41 s"."""
        windows = "1 window" if self.windows == 1 else f"{self.windows:,} windows"
        span = f"from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"{self.records:,} records {span} in {windows}, {in_words(self._seconds)}"

    @property
    def _seconds(self) -> float:
        return 0.0 if self._began is None else self.clock() - self._began
