"""The time span that a run reads for one bot: how far it is complete, and which records to emit. Pure."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tap_deepconverse.extract.forecast import Forecast
from tap_deepconverse.extract.plan import FIRST_WINDOW, Planner
from tap_deepconverse.extract.window import AN_HOUR, DAY, HOUR, Reading, Window, moment_of, text_of

MOST_ASTRAY = 20
"""Records far from their window that come again, after which windows are taken to mean nothing to the API."""


@dataclass(frozen=True)
class SpanSettings:
    """The settings that all bots of a stream share.

    Attributes:
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


class BotSpan:
    """What a run reads of one bot and stream.

    Attributes:
        bookmark: Where an earlier run's bookmark is, or None.
        start: Where this run begins.
        is_empty: Whether there is nothing to read.
        until: The time up to which everything has been read, in Unix seconds.
        selects_by: The field that the API selects by, once a record has shown it.
        astray: Records far from their window that came again. Once windows are known to mean nothing, none counts.
    """

    def __init__(
        self,
        settings: SpanSettings,
        bookmark: datetime | None = None,
        complete_until: datetime | None = None,
        counted: Mapping[int, float] | None = None,
    ) -> None:
        """Plan to read from the start date, or from `lookback_days` before what an earlier run has read.

        That is its bookmark, the newest record's time. Where it found nothing newer up to `complete_until`, that
        counts, and a day at least before it, since records may turn up late. `counted` are its records of each hour.
        """
        self.settings = settings
        self.bookmark = bookmark
        self.start = settings.start
        if bookmark is not None:
            begin = bookmark - timedelta(days=settings.lookback_days)
            if complete_until is not None:
                begin = max(begin, complete_until - timedelta(days=max(1, settings.lookback_days)))
            self.start = max(settings.start, begin)
        self.until = int(self.start.timestamp())
        self.end = int(settings.end.timestamp())
        is_filled = bookmark is not None and settings.is_end_given and bookmark >= settings.end
        self.is_empty = self.until >= self.end or is_filled
        self.selects_by = ""
        self.astray: float = 0
        # For a bot that has been read before, one request is expected to cover the lookback.
        days = 1 if bookmark is None else settings.lookback_days + 1
        self.planner = Planner(
            Window(self.until, self.until if self.is_empty else self.end),
            longest=settings.window_days * DAY,
            first=days * FIRST_WINDOW,
            forecast=Forecast(counted or {}),
        )
        # Younger conversations may change while they are read, and so do not show how the API selects.
        self._unchanged_since = text_of(self.end - HOUR)
        self._bounds = text_of(self.until), text_of(self.end)
        self._newest = ""
        self._per_hour = Counter[int]()
        self._finished: dict[int, Reading] = {}
        self._copies: dict[str, tuple[str, Window]] = {}

    def admit(self, reading: Reading, record: dict[str, Any]) -> bool:
        """Learn from the times of a window's record. Return whether to emit it: not if a newer copy has come before."""
        window = reading.window
        version = record.get(self.settings.version_field)
        if version is None:
            return True
        began = record.get(self.settings.begin_field) or version
        first, last = self._bounds
        # The API selects by one of the two times, nobody says which: the record belongs where one of them lies.
        is_updated_inside = window.holds(version)
        is_inside = is_updated_inside or window.holds(began)
        place = version if is_updated_inside else began
        newest = version if first <= version < last else place  # a time outside of the span shows nothing
        if newest > reading.newest and first <= newest < last:
            reading.newest = newest
        if not self.selects_by and is_inside and version < self._unchanged_since:
            if not is_updated_inside:
                self.selects_by = self.settings.begin_field
            elif not window.holds(began):
                self.selects_by = self.settings.version_field
        is_shared = window.shares(version) or window.shares(began)
        if is_inside:
            reading.hours[place[:AN_HOUR]] += 1
            if not is_shared:
                return True
        # Windows are read at once, so an older copy may come later.
        newest_copy, other = self._copies.setdefault(record["_id"], (version, window))
        if not (is_inside or is_shared) and (other.end <= window.start or window.end <= other.start):
            self.astray += 1
        if version > newest_copy:
            self._copies[record["_id"]] = version, window
        return bool(version >= newest_copy)

    def finish(self, reading: Reading) -> bool:
        """Record that a window is complete; return whether the span is complete further than before."""
        per_hour = reading.per_hour()
        self.planner.forecast.learn(reading.window, sum(reading.sizes), per_hour)
        self._per_hour.update(per_hour)
        self._finished[reading.window.start] = reading
        before = self.until
        while finished := self._finished.pop(self.until, None):
            self.until = finished.window.end
            self._newest = max(self._newest, finished.newest)
        return self.until > before

    @property
    def counts(self) -> dict[int, int]:
        """The records of each hour that is complete, by its start in Unix seconds."""
        begin = self.start.timestamp()
        return {hour: count for hour, count in self._per_hour.items() if begin <= hour <= self.until - HOUR}

    @property
    def reached(self) -> datetime:
        """The time up to which everything has been read."""
        return moment_of(self.until)

    @property
    def newest(self) -> datetime | None:
        """The newest time seen, but not later than what is complete; None if there is none."""
        return min(datetime.fromisoformat(self._newest), self.reached) if self._newest else None

    def read_in_one(self, page_size: int) -> None:
        """Plan to read the rest in a single window: the API does not keep to windows."""
        self.planner.restart(Reading(Window(self.until, self.end), page_size, math.inf, math.inf))
        self._finished.clear()
        self._per_hour.clear()
        self.astray = -math.inf
