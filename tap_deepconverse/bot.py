"""One bot of a stream in a run: from pages to records, checkpoints and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.progress import Progress
from tap_deepconverse.extract.span import MOST_ASTRAY, BotSpan
from tap_deepconverse.extract.window import moment_of
from tap_deepconverse.records.page import UnusableRecordError
from tap_deepconverse.records.warnings import RecordWarnings
from tap_deepconverse.singer.process import show_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.helpers.types import Context, Record

    from tap_deepconverse.endpoint import Endpoint
    from tap_deepconverse.extract.lane import Arrival
    from tap_deepconverse.extract.span import SpanSettings
    from tap_deepconverse.records.conform import Conformer
    from tap_deepconverse.records.page import Page
    from tap_deepconverse.singer.state import Checkpoints

RECORDS_BETWEEN_LOOKS = 10
"""Records after which to check whether a progress report is due: a slow target may take minutes for a page."""


class BotSync:
    """One bot and stream: its lane, and what becomes of the pages that come.

    Attributes:
        error: Why the bot could not be read completely, or "".
        is_over: Whether the bot has been read to its end, as far as it can be.
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
        self.stream = stream = endpoint.stream
        self.context = context
        self.bot_name: str = context["bot_name"]
        self.error = ""
        self.is_over = False
        resume = checkpoints.resume(context)
        self._checkpoints = checkpoints
        self.span = BotSpan(settings, resume.bookmark, resume.complete_until, resume.per_hour)
        self.lane = Lane(self.bot_name, self.span, endpoint, stream.logger)
        self.name = self.lane.name
        self._progress = Progress(self.span.start, settings.end, endpoint.clock)
        self._warnings = RecordWarnings(stream.logger, self.name)
        self._conformer = conformer(self.bot_name, self._warnings)

    def records(self) -> Iterator[Record]:
        """Yield the records of what has come, and move the checkpoint where windows are complete."""
        self._report_progress()
        while self.lane.inbox:
            arrival = self.lane.inbox.popleft()
            if arrival.page is not None:
                yield from self._records_of(arrival, arrival.page)
                continue
            self._progress.windows += 1
            if self.lane.finish(arrival.reading):  # the SDK has written the records before it asked for the next
                reached = min(self.span.until, self.endpoint.latest_end)
                self._checkpoints.advance(
                    self.context, self.span.next_bookmark, moment_of(int(reached)), self.span.counts
                )

    def _records_of(self, arrival: Arrival, page: Page) -> Iterator[Record]:
        window = arrival.reading.read.window
        if arrival.number == 1:
            self.span.begin(window)
        try:
            for number, record in enumerate(self._conformer.records(page, str(arrival)), 1):
                if not number % RECORDS_BETWEEN_LOOKS:
                    self._report_progress()
                self._progress.records += 1
                if self.span.admit(window, record):
                    yield record
        except UnusableRecordError as error:
            self.lane.fail(window, ExtractionError(str(error)))
        self._log_selection()
        if self.span.astray >= MOST_ASTRAY:
            self.stream.logger.warning(
                "%s: the API returns the same records for different windows, far outside of them, so the rest is read "
                "in one window; please report this",
                self.name,
            )
            self.lane.read_in_one()

    def _log_selection(self) -> None:
        by = self.span.selects_by
        if by and not self.endpoint.selects_by:
            self.endpoint.selects_by = by
            follows = (
                "a change is found only if the conversation began within `lookback_days` before the bookmark; set that "
                "to as many days as a conversation may last"
                if by == self.span.settings.begin_field
                else "every change is found; `lookback_days` need only cover the lag of the archive"
            )
            self.stream.logger.info("Stream '%s': the API selects by `%s`, so %s", self.stream.name, by, follows)

    def _report_progress(self) -> None:
        if self._progress.is_due():
            report = self._progress.report(min(self.span.reached, self.span.settings.end), self.lane.records_left)
            self.stream.logger.info("%s: %s", self.name, report)

    def fail(self, reason: str) -> None:
        """Log that the bot cannot be read completely."""
        self.error = f"{self.name}: {reason}."
        show_error(self.error)

    def sum_up(self, *, is_written: bool) -> None:
        """Log the result, once; only warnings if what came could not be written."""
        if self.is_over:
            return
        self.is_over = True
        self._warnings.sum_up()
        if is_written and not self.error and self.lane.is_over and not self.lane.failure:
            self._log_result()

    def _log_result(self) -> None:
        span, logger = self.span, self.stream.logger
        end = f"{span.settings.end:%Y-%m-%d %H:%M} UTC"
        if span.until < span.end and not span.is_empty:
            self.fail(f"the data is complete only up to {span.reached}, although no window is left: report this bug")
        elif span.is_empty and span.bookmark:
            what = f"its bookmark is at {span.bookmark:%Y-%m-%d %H:%M} UTC; to read that time again, use another state"
            logger.warning("%s: nothing to do up to %s, since %s or a full refresh", self.name, end, what)
        elif span.is_empty:
            logger.warning("%s: nothing to do up to %s, since `start_date` is %s", self.name, end, span.start)
        else:
            logger.info("%s: %s", self.name, self._progress.summary())
            if not (span.bookmark or self._progress.records):
                since = f"{span.start:%Y-%m-%d %H:%M} UTC"
                when = f"from {since} to {end}" if span.settings.is_end_given else f"since {since}"
                logger.warning("%s: no records %s; check this bot's name in `bot_names`", self.name, when)

    def warn_of_gap(self) -> None:
        """Warn of a gap between the bookmark and a later start date, and of a bot that may have been renamed."""
        begins, bookmark, logger = self.span.settings.start, self.span.bookmark, self.stream.logger
        names = {partition["bot_name"] for partition in self.stream.partitions or ()}
        unused = sorted(self._checkpoints.bots - names)
        if bookmark and bookmark < begins:
            logger.warning(
                "%s: the time between its bookmark (%s) and `start_date` (%s) is not read; to read it, set "
                "`start_date` to the bookmark or earlier",
                self.name,
                f"{bookmark:%Y-%m-%d %H:%M} UTC",
                f"{begins:%Y-%m-%d %H:%M} UTC",
            )
        elif bookmark is None and unused:
            logger.warning(
                "%s: no bookmark, so it begins at `start_date`; the state has bookmarks for %s, not in `bot_names`: if "
                "the bot was renamed, rename it in the state too",
                self.name,
                ", ".join(f"'{name}'" for name in unused),
            )
