"""The time span that a run reads for one bot: its windows, how far it is complete, and which records to emit."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tap_deepconverse.api.errors import CursorRejectedError
from tap_deepconverse.extract.another_way import ExtractionError, another_way
from tap_deepconverse.extract.checkpoint import Coverage
from tap_deepconverse.extract.density import Density
from tap_deepconverse.extract.overlap import Overlap, WindowEdges
from tap_deepconverse.extract.progress import Progress
from tap_deepconverse.extract.seen import TEN_MINUTES, Seen
from tap_deepconverse.extract.windows import FIRST_WINDOW, Window, WindowPlanner
from tap_deepconverse.records.timestamps import parse_time

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tap_deepconverse.extract.another_way import UnreadableWindow
    from tap_deepconverse.extract.density import Count
    from tap_deepconverse.extract.selection import Selection
    from tap_deepconverse.extract.windows import WindowRead
    from tap_deepconverse.records.page import Page


@dataclass(frozen=True)
class SpanSettings:
    """The settings that all bots of a stream share."""

    start: datetime  # the start date
    end: datetime  # of the date range
    is_end_given: bool  # as `end_date`, for a backfill
    window_days: int
    lookback_days: int
    page_size: int
    version_field: str  # with the time of a record's last update: the replication key, or ""
    begin_field: str  # with the time when the conversation began, or ""
    stream: str

    def start_after(self, bookmark: datetime | None) -> datetime:
        """Return where to begin: at the start date, or `lookback_days` before the bookmark if that is later."""
        lookback = timedelta(days=self.lookback_days)
        if bookmark is not None and bookmark - self.start > lookback:
            return bookmark - lookback
        return self.start


@dataclass
class BotSpan:
    """The time span that a run reads for one bot."""

    bot_name: str
    place: str  # among the bots, such as "2 of 5", or "" for the only one
    bookmark: datetime | None  # at the start of the run
    counts: Sequence[Count]  # of records, from an earlier run
    settings: SpanSettings
    selection: Selection | None  # shared by the bots of a stream
    logger: logging.Logger
    start: datetime = field(init=False)
    planner: WindowPlanner = field(init=False)
    coverage: Coverage = field(init=False)
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        """Plan the span."""
        self.name = f"Bot '{self.bot_name}', stream '{self.settings.stream}'"
        self.start = self.settings.start_after(self.bookmark)
        span = Window(math.floor(self.start.timestamp()), math.ceil(self.settings.end.timestamp()))
        # For a bot that has been read before, one request is expected to cover the lookback.
        days = 1 if self.bookmark is None else self.settings.lookback_days + 1
        self.planner = WindowPlanner(
            span,
            longest=self.settings.window_days * 86_400,
            page_size=self.settings.page_size,
            first=days * FIRST_WINDOW,
            density=Density(self.counts),
        )
        self.coverage = Coverage(span.start)
        self.progress = Progress(self.start, self.settings.end)
        self._seen: dict[Window, Seen] = {}
        self._overlap = Overlap()
        self._halved: set[str] = set()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        is_filled = self.bookmark is not None and self.settings.is_end_given and self.bookmark >= self.settings.end
        return self.start >= self.settings.end or is_filled

    def page_came(self, window: Window, number: int) -> Seen:
        """Record the arrival of a page by its number in the window; return the `seen` for `admit`."""
        seen = self._seen.setdefault(window, Seen(WindowEdges(window)))
        if number == 1:  # an earlier attempt counted records that are now read again
            seen.tens.clear()
        return seen

    def admit(self, seen: Seen, record: dict[str, Any]) -> bool:
        """Learn from a record's times. Return whether to emit it: not if an adjacent window had a newer copy.

        Args:
            seen: What has been seen of its window.
            record: The record, conformed.
        """
        self.progress.records += 1
        version, began = record.get(self.settings.version_field), record.get(self.settings.begin_field)
        if version is None:
            return True
        if seen.newest is None or version > seen.newest:
            seen.newest = version
        seen.tens[version[:TEN_MINUTES]] += 1
        first, last = seen.edges.span
        selection = self.selection
        if began and selection and not selection.is_known and (began < first or version > last):
            shown = selection.observe(seen.edges.window, began, version)
            if shown:
                self.logger.info("Stream '%s': %s", self.settings.stream, shown)
        is_shared = seen.edges.hold(version) or seen.edges.hold(began)
        return not (is_shared and self._overlap.is_older_copy(record["_id"], version))

    def finish(self, window: Window, records: int) -> bool:
        """Record that a window is complete; return whether the span is complete further than before."""
        self.progress.windows += 1
        seen = self._seen.pop(window, None) or Seen(WindowEdges(window))
        newest = None if seen.newest is None else parse_time(seen.newest)
        counts = seen.counts(records)
        self.planner.learn_rhythm(counts)
        is_further = self.coverage.finish(window, newest, counts)
        if is_further:  # windows that were cut never finish
            self._seen = {left: seen for left, seen in self._seen.items() if left.end > self.coverage.until}
        return is_further

    @property
    def complete_until(self) -> datetime:
        """The time up to which everything has been read, at most the end of the span."""
        return min(self.coverage.until_moment, self.settings.end)

    def require_complete(self) -> None:
        """Check that the span has been read to its end.

        Raises:
            ExtractionError: If a window is missing, which only a bug of the tap can cause.
        """
        if self.complete_until < self.settings.end:
            msg = (
                f"the data is complete only up to {self.complete_until:%Y-%m-%dT%H:%M:%SZ}, although no window is left "
                "to read. Please report this bug; the next run goes on from the last checkpoint"
            )
            raise ExtractionError(msg)

    def times_of(self, page: Page) -> list[float]:
        """Return the times (Unix seconds) of a page's records, in their order."""
        times = []
        for value in page.values_of(self.settings.version_field):
            with suppress(ValueError):
                times.append(parse_time(value).timestamp())
        return times

    def report_progress(self, records_left: Callable[[], float | None]) -> None:
        """Log the progress, unless that was done a moment ago."""
        if self.progress.is_due:
            place = f" ({self.place})" if self.place else ""
            line = self.progress.report(self.complete_until, records_left())
            self.logger.info("Bot '%s'%s, stream '%s': %s", self.bot_name, place, self.settings.stream, line)

    def sum_up(self) -> None:
        """Log the result, at the end of the span."""
        end = f"{self.settings.end:%Y-%m-%d %H:%M} UTC"
        if not self.is_empty:
            self.logger.info("%s: %s", self.name, self.progress.summary())
            if not (self.bookmark or self.progress.records):
                since = f"{self.start:%Y-%m-%d %H:%M} UTC"
                span = f"from {since} to {end}" if self.settings.is_end_given else f"since {since}"
                self.logger.warning("%s: no records %s; check this bot's name in `bot_names`", self.name, span)
        elif self.bookmark:
            what = f"its bookmark is at {self.bookmark:%Y-%m-%d %H:%M} UTC; to read that time again, use another state"
            self.logger.warning("%s: nothing to do up to %s, since %s or a full refresh", self.name, end, what)
        else:
            self.logger.warning("%s: nothing to do up to %s, since `start_date` is %s", self.name, end, self.start)

    def in_another_way(self, read: WindowRead, error: UnreadableWindow) -> list[WindowRead]:
        """Return what to read instead of a failed window, and log it; see `another_way`."""
        how, instead = another_way(read, error)
        if how not in self._halved:  # a window may be halved many times: log once for each page size
            self.logger.warning("%s: %s; reading %s again %s", self.name, error, read.window, how)
        if not isinstance(error, CursorRejectedError):
            self._halved.add(how)
        return instead
