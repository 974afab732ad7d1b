"""One bot of a stream in a run: from pages to records, checkpoints and the log."""

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from singer_sdk.helpers.types import Context, Record

from tap_deepconverse.api.redact import in_words
from tap_deepconverse.endpoint import Endpoint
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.span import MOST_ASTRAY, BotSpan, SpanSettings
from tap_deepconverse.extract.window import Reading, moment_of
from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.page import Page, UnusablePageError
from tap_deepconverse.records.warnings import RecordWarnings
from tap_deepconverse.singer.process import show_error
from tap_deepconverse.singer.state import Checkpoints

SECONDS_BETWEEN_REPORTS = 10.0


class BotSync:
    """One bot and stream: its lane, and what becomes of the pages that come.

    Attributes:
        error: Why the bot could not be read completely, or "".
        is_over: Whether the bot has been read, as far as it can be.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        context: Context,
        settings: SpanSettings,
        checkpoints: Checkpoints,
        conformer: Callable[[str, RecordWarnings], Conformer],
    ) -> None:
        """Plan to read the bot of a partition (`context`); `conformer` makes records of its pages."""
        self.endpoint = endpoint
        self.stream = endpoint.stream
        self.context = context
        self.error = ""
        self.is_over = False
        bot_name: str = context["bot_name"]
        resume = checkpoints.resume(context)
        self.span = BotSpan(settings, resume.bookmark, resume.complete_until, resume.per_hour)
        self.lane = Lane(bot_name, self.span, endpoint, self.stream.logger)
        self._checkpoints = checkpoints
        self._warnings = RecordWarnings(self.stream.logger, self.lane.name)
        self._conformer = conformer(bot_name, self._warnings)
        self._began = self._reported = endpoint.clock()
        self._records = 0

    def records(self) -> Iterator[Record]:
        """Yield the records of what has come, and move the checkpoint where windows are complete."""
        self._report_progress()
        while self.lane.inbox:
            reading, number, page = self.lane.inbox.popleft()
            if page is not None:
                yield from self._records_of(reading, number, page)
            elif self.lane.finish(reading):  # the SDK has written the records before it asked for the next
                reached = moment_of(int(min(self.span.until, self.endpoint.latest_end)))
                self._checkpoints.advance(self.context, self.span.newest, reached, self.span.counts)

    def _records_of(self, reading: Reading, page_number: int, page: Page) -> Iterator[Record]:
        try:
            for record in self._conformer.records(page, f"page {page_number} of {reading.window}"):
                if not self._records % 10:  # a slow target may take minutes for a page
                    self._report_progress()
                self._records += 1
                if self.span.admit(reading, record):
                    yield record
        except UnusablePageError as error:
            self.lane.fail(reading.window.start, error)
        self._log_selection()
        if self.span.astray >= MOST_ASTRAY:
            self._warn(
                "the API returns the same records for different windows, far outside of them, so the rest is read in "
                "one window; please report this"
            )
            self.lane.read_in_one()

    def _log_selection(self) -> None:
        by = self.span.selects_by
        if by and not self.endpoint.selects_by:
            self.endpoint.selects_by = by
            follows = "every change is found; `lookback_days` need only cover the lag of the archive"
            if by == self.span.settings.begin_field:
                follows = (
                    "a change is found only if the conversation began within `lookback_days` before the bookmark; set "
                    "that to as many days as a conversation may last"
                )
            self.stream.logger.info("Stream '%s': the API selects by `%s`, so %s", self.stream.name, by, follows)

    def _report_progress(self) -> None:
        now = self.endpoint.clock()
        if self.is_over or now - self._reported < SECONDS_BETWEEN_REPORTS:
            return
        self._reported = now
        pace = self._records / (now - self._began)
        left = self.lane.records_left
        until = _in_minutes(min(self.span.reached, self.span.settings.end))
        report = f"complete until {until} UTC; {self._records:,} records, {pace:,.0f} a second"
        time_left = f"; about {in_words(left / pace)} left" if left and pace and left < math.inf else ""
        self.stream.logger.info("%s: %s%s", self.lane.name, report, time_left)

    def _warn(self, message: str) -> None:
        self.stream.logger.warning("%s: %s", self.lane.name, message)

    def fail(self, reason: str) -> None:
        """Log that the bot cannot be read completely."""
        self.error = f"{self.lane.name}: {reason}."
        show_error(self.error)

    def sum_up(self) -> None:
        """Log the result, once all that came is written."""
        self.is_over = True
        self._warnings.sum_up()
        if self.error:
            return
        span = self.span
        start, end = _in_minutes(span.start), _in_minutes(span.settings.end)
        if span.is_empty:
            self._warn(
                f"nothing to do up to {end} UTC, since `start_date` or the bookmark is not earlier; to read that time "
                "again, use another state or a full refresh"
            )
        elif span.until < span.end:
            self.fail(f"the data is complete only up to {span.reached}, although no window is left: report this bug")
        else:
            took = in_words(self.endpoint.clock() - self._began)
            records = f"{self._records:,} records from {start} to {end} UTC, {took}"
            self.stream.logger.info("%s: %s", self.lane.name, records)
            if not (span.bookmark or self._records):
                self._warn(f"no records from {start} to {end} UTC; check this bot's name in `bot_names`")

    def warn_of_gap(self) -> None:
        """Warn of a gap between the bookmark and a later start date, and of a bot that may have been renamed."""
        begins, bookmark = self.span.settings.start, self.span.bookmark
        unused = self._checkpoints.bots - {partition["bot_name"] for partition in self.stream.partitions or ()}
        if bookmark and bookmark < begins:
            self._warn(
                f"the time between its bookmark ({_in_minutes(bookmark)} UTC) and `start_date` "
                f"({_in_minutes(begins)} UTC) is not read; to read it, set `start_date` to the bookmark or earlier"
            )
        elif bookmark is None and unused:
            names = ", ".join(f"'{name}'" for name in sorted(unused))
            self._warn(
                f"no bookmark, so it begins at `start_date`; the state has bookmarks for {names}, not in `bot_names`: "
                "if the bot was renamed, rename it in the state too"
            )


def _in_minutes(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
