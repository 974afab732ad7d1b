"""The time span that a run reads for one bot: how far it is complete, and which records to emit. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_deepconverse.extract.forecast import Forecast
from tap_deepconverse.extract.overlap import AN_HOUR, Copies, Seen, text_of
from tap_deepconverse.extract.plan import FIRST_WINDOW, Planner
from tap_deepconverse.extract.window import DAY, HOUR, Window, WindowRead, moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ASTRAY = 20
"""Records far from their window that come again, after which windows are taken to mean nothing to the API."""


@dataclass(frozen=True)
class SpanSettings:
    """The settings that all bots of a stream share.

    Attributes:
        start: The start date.
        end: The end of the date range, in whole seconds.
        is_end_given: Whether there is an `end_date`, for a backfill.
        version_field: The field with the time of a record's last update: the replication key, or "".
        begin_field: The field with the time when the conversation began, or "".
    """

    start: datetime
    end: datetime
    is_end_given: bool
    window_days: int
    lookback_days: int
    version_field: str
    begin_field: str

    def start_after(self, bookmark: datetime | None, complete_until: datetime | None) -> datetime:
        """Return where to begin: at the start date, or `lookback_days` before what an earlier run has read.

        That is its bookmark, the newest record's time. Where it found nothing newer up to `complete_until`, that
        counts, and a day at least before it, since records may turn up late.
        """
        if bookmark is None:
            return self.start
        begin = bookmark - timedelta(days=self.lookback_days)
        if complete_until is not None:
            begin = max(begin, complete_until - timedelta(days=max(1, self.lookback_days)))
        return max(self.start, begin)


@dataclass
class BotSpan:
    """What a run reads of one bot and stream.

    Attributes:
        bookmark: Where an earlier run's bookmark is, or None.
        complete_until: How far an earlier run was complete, or None if that is not known.
        counted: The records of each hour (its start in Unix seconds) that an earlier run counted.
        per_hour: The same of this run, as far as it is complete.
        is_empty: Whether there is nothing to read.
        until: The time up to which everything has been read, in Unix seconds.
        newest: The newest time seen before `until`, or None.
        selects_by: The field that the API selects by, once a record has shown it.
        astray: Records far from their window that came again.
    """

    settings: SpanSettings
    bookmark: datetime | None = None
    complete_until: datetime | None = None
    counted: Mapping[int, float] = field(default_factory=dict)
    per_hour: Counter[int] = field(default_factory=Counter)
    records: int = 0
    newest: datetime | None = None
    astray: int = 0
    selects_by: str = ""

    def __post_init__(self) -> None:
        """Plan the span."""
        self.start = self.settings.start_after(self.bookmark, self.complete_until)
        self.until = int(self.start.timestamp())
        self.end = int(self.settings.end.timestamp())
        is_filled = self.bookmark is not None and self.settings.is_end_given and self.bookmark >= self.settings.end
        self.is_empty = self.until >= self.end or is_filled
        # For a bot that has been read before, one request is expected to cover the lookback.
        days = 1 if self.bookmark is None else self.settings.lookback_days + 1
        self.planner = Planner(
            Window(self.until, self.until if self.is_empty else self.end),
            longest=self.settings.window_days * DAY,
            first=days * FIRST_WINDOW,
            forecast=Forecast(self.counted),
        )
        # Younger conversations may change while they are read, and so do not show how the API selects.
        self._unchanged_since = text_of(self.end - HOUR)
        self._bounds = text_of(self.until), text_of(self.end)
        self._seen: dict[Window, Seen] = {}
        self._finished: dict[int, tuple[Window, datetime | None]] = {}
        self._copies = Copies()
        self._is_in_one = False

    def begin(self, window: Window) -> Seen:
        """Return what has been seen of a window, from now on: what an earlier attempt has seen comes again."""
        seen = self._seen[window] = Seen(window)
        return seen

    def admit(self, window: Window, record: dict[str, Any]) -> bool:
        """Learn from a record's times. Return whether to emit it: not if another window had a newer copy.

        Args:
            window: The window that returned it.
            record: The record, conformed.
        """
        self.records += 1
        version = record.get(self.settings.version_field)
        if version is None:
            return True
        seen = self._seen.get(window) or self.begin(window)
        began = record.get(self.settings.begin_field) or version
        first, last = self._bounds
        is_updated_inside = seen.is_inside(version)
        place = version if is_updated_inside else began
        newest = version if first <= version < last else place  # a time outside of the span shows nothing
        if newest > seen.newest and first <= newest < last:
            seen.newest = newest
        is_inside = is_updated_inside or seen.is_inside(began)
        if not self.selects_by and is_inside and version < self._unchanged_since:
            self._see_selection(seen, began, is_updated_inside=is_updated_inside)
        is_shared = seen.is_shared(version) or seen.is_shared(began)
        if is_inside:
            seen.hours[place[:AN_HOUR]] += 1
            if not is_shared:
                return True
        elif not (is_shared or self._is_in_one) and self._copies.came_elsewhere(record["_id"], window):
            self.astray += 1
        return not self._copies.is_older(record["_id"], version, window)

    def _see_selection(self, seen: Seen, began: str, *, is_updated_inside: bool) -> None:
        """Learn by which time the API selects, if only one of a record's two lies in the window."""
        if not is_updated_inside:
            self.selects_by = self.settings.begin_field
        elif not seen.is_inside(began):
            self.selects_by = self.settings.version_field

    def finish(self, window: Window, records: int) -> bool:
        """Record that a window is complete; return whether the span is complete further than before."""
        seen = self._seen.pop(window, None) or Seen(window)
        per_hour = seen.per_hour()
        self.planner.forecast.learn(window, records, per_hour)
        self.per_hour.update(per_hour)
        self._finished[window.start] = window, datetime.fromisoformat(seen.newest) if seen.newest else None
        before = self.until
        while finished := self._finished.pop(self.until, None):
            self.until = finished[0].end
            self.newest = _latest(self.newest, finished[1])
        return self.until > before

    @property
    def counts(self) -> dict[int, int]:
        """The records of each hour that is complete, by its start in Unix seconds."""
        begin = int(self.start.timestamp())
        hours = [hour for hour in self.per_hour if begin <= hour and hour + HOUR <= self.until]
        return {hour: self.per_hour[hour] for hour in hours}

    @property
    def reached(self) -> datetime:
        """The time up to which everything has been read."""
        return moment_of(self.until)

    @property
    def next_bookmark(self) -> datetime | None:
        """The newest time seen, but not later than what is complete, and never before the bookmark."""
        newest = None if self.newest is None else min(self.newest, self.reached)
        return _latest(self.bookmark, newest)

    def read_in_one(self, page_size: int) -> None:
        """Plan to read the rest in a single window: the API does not keep to windows."""
        self.planner.restart(WindowRead(Window(self.until, self.end), page_size, math.inf, math.inf))
        self._finished.clear()
        self.per_hour.clear()
        self._is_in_one = True
        self.astray = 0


def _latest(*moments: datetime | None) -> datetime | None:
    return max(filter(None, moments), default=None)
