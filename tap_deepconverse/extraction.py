"""Turns a stream's pages into records for the target, with the packages `api`, `extract`, `records` and `singer`."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import requests
from singer_sdk.exceptions import FatalAPIError, SyncError

from tap_deepconverse.api.errors import EveryBotError, describe
from tap_deepconverse.api.outage import Outage
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.extract.another_way import ExtractionError, at_record
from tap_deepconverse.extract.pool import ReaderPool
from tap_deepconverse.extract.selection import Selection
from tap_deepconverse.extract.span import BotSpan, SpanSettings
from tap_deepconverse.records.announced import AnnouncedSchema
from tap_deepconverse.records.conform import Conformer, UndocumentedFields
from tap_deepconverse.records.exclude import with_columns_left_out
from tap_deepconverse.records.page import UnusableRecordError
from tap_deepconverse.records.warnings import RecordWarnings
from tap_deepconverse.settings import parse_date
from tap_deepconverse.singer.log import show_error
from tap_deepconverse.singer.state import Checkpoints
from tap_deepconverse.singer.writer import PageWriter, TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_deepconverse.client import ExportStream
    from tap_deepconverse.extract.windows import WindowRead
    from tap_deepconverse.records.page import Page

MOST_ELSEWHERE = 5
"""Bots to which a request is sent, twice each, to distinguish an outage from one bot's error."""
RECORDS_BETWEEN_LOOKS = 10
"""Records after which to check whether a progress report is due."""
MOST_DAYS = 36_500
"""Largest number of days that makes a difference: a century."""


class FailedBotsError(SyncError):
    """Some bots could not be read completely. Each has been logged as an error."""

    def __init__(self, failed: Mapping[str, Collection[str]]) -> None:
        names = "; ".join(f"{stream}: {', '.join(map(repr, bots))}" for stream, bots in failed.items() if bots)
        super().__init__(
            f"These bots failed ({names}); all others are complete. See the errors above. The next run goes on from "
            "their last checkpoints."
        )


class Extraction:
    """The extraction of a stream in one run, bot by bot."""

    def __init__(self, stream: ExportStream, tap: Tap) -> None:
        self.stream = stream
        self.checkpoints = Checkpoints(stream)
        self.failed: dict[str, str] = {}
        """Bots that could not be read completely, and why."""
        self._run_began = datetime.fromtimestamp(tap.initialized_at / 1000, UTC)
        self._target = tap.message_writer if isinstance(tap.message_writer, PageWriter) else None

    def records(self, context: Context) -> Iterator[Record]:
        """Yield a bot's records, from `lookback_days` before its bookmark (or the start date) to the end.

        Args:
            context: The partition: `bot_name`.

        Yields:
            The records, conformed to the schema.

        Raises:
            FatalAPIError: If an error affects all bots. An error of one bot is logged.
        """
        span = self.spans[context["bot_name"]]
        with self._pool_closed_after(span), self._target.flushed() if self._target else nullcontext():
            warn_of_gap(span, self.checkpoints.bots - self.spans.keys())
            try:
                if not span.is_empty:
                    yield from self._records_of(span, context)
            except (ExtractionError, SyncError, requests.RequestException) as error:
                if isinstance(error, TargetGoneError):
                    raise
                msg = f"{span.name}: {describe(error)}."
                is_test = self.stream.ABORT_AT_RECORD_COUNT is not None  # the SDK's connection test, called in process
                if isinstance(error, EveryBotError) or is_test:
                    raise FatalAPIError(msg) from error
                show_error(msg)
                self.failed[span.bot_name] = msg
            else:
                span.sum_up()

    def _records_of(self, span: BotSpan, context: Context) -> Iterator[Record]:
        report_progress = partial(span.report_progress, partial(self.pool.records_left, span))
        with RecordWarnings(self.stream.logger, span.name) as warnings:
            conformer = self._conformer(span.bot_name, warnings)
            for arrival in self.pool.results(span, self._target.tend if self._target else None):  # as they arrive
                if arrival.page is None:  # the window is complete
                    if span.finish(arrival.read.window, arrival.records):  # all earlier windows are complete too
                        self.checkpoints.advance(context, span)
                    continue
                report_progress()  # for pages without records too
                seen, place = span.page_came(arrival.read.window, arrival.number), str(arrival)
                try:
                    for number, record in enumerate(conformer.records(arrival.page, place), 1):
                        if not number % RECORDS_BETWEEN_LOOKS:  # a slow target may take minutes for a page
                            report_progress()
                        if span.admit(seen, record):  # not an older copy from an overlap
                            yield self._announced.fit(record, place, warnings)
                except UnusableRecordError as error:
                    self.pool.fail(span, arrival.read, at_record(error, place))
        span.require_complete()  # a run with a gap must not succeed

    # --- Shared by the bots ---

    @cached_property
    def spans(self) -> dict[str, BotSpan]:
        """What this run reads, by bot name, in the SDK's order of partitions."""
        stream, config = self.stream, self.stream.config
        end_date, version_field = config.get("end_date"), stream.replication_key or ""
        settings = SpanSettings(
            start=parse_date(config["start_date"]),
            # Not after the start of the run: conversations still change there.
            end=min(parse_date(end_date), self._run_began) if end_date else self._run_began,
            is_end_given=bool(end_date),
            window_days=min(config["window_days"], MOST_DAYS),
            lookback_days=min(config["lookback_days"], MOST_DAYS),
            page_size=config["page_size"],
            version_field=version_field,  # a catalog may remove or replace it
            begin_field=stream.begin_key,
            stream=stream.name,
        )
        selection = Selection(stream.begin_key, version_field, self._run_began) if stream.begin_key else None
        partitions = stream.partitions
        return {
            context["bot_name"]: BotSpan(
                bot_name=context["bot_name"],
                place=f"{number} of {len(partitions)}" if len(partitions) > 1 else "",
                bookmark=self.checkpoints.bookmark(context),
                counts=self.checkpoints.counts(context),
                settings=settings,
                selection=selection,
                logger=stream.logger,
            )
            for number, context in enumerate(partitions, 1)
        }

    @cached_property
    def pool(self) -> ReaderPool:
        """The workers for all bots, started at the first bot and closed after the last."""
        spans = [span for span in self.spans.values() if not span.is_empty]
        return ReaderPool(spans, self._pages_of, self.limiter, self.stream.config["concurrency"])

    @contextmanager
    def _pool_closed_after(self, span: BotSpan) -> Iterator[None]:
        is_over = True
        try:
            yield
            is_over = span is [*self.spans.values()][-1]
        finally:
            if is_over:
                self.pool.close()

    def _pages_of(self, span: BotSpan, read: WindowRead) -> Iterator[Page]:
        """Request the pages of a window, one after another."""
        window = read.window
        request: Any = {"start_time": window.start, "end_time": window.end, "per_page": read.page_size}
        pages: Any = self.stream.request_records({"bot_name": span.bot_name, **request})
        return iter(pages)

    @cached_property
    def limiter(self) -> RateLimiter:
        """The rate limiter of the endpoint."""
        return RateLimiter(self.stream.config["requests_per_second"])

    def _conformer(self, bot_name: str, warnings: RecordWarnings) -> Conformer:
        excluded = with_columns_left_out(self.stream.config.get("exclude_metadata") or ())
        is_shallow = self._is_shallow and not excluded
        return Conformer(bot_name, self.stream.schema, warnings, self._undocumented, excluded, is_shallow)

    def elsewhere(self, context: Context | None) -> list[Context]:
        """Return other requests, for this bot and some others, that distinguish an outage from one bot's error."""
        context = context or {}
        others = [name for name in self.spans if name not in self.failed and name != context["bot_name"]]
        others.sort(key=lambda name: not self.spans[name].progress.records)  # bots that worked in this run first
        once = [
            {**context, "bot_name": name, "start_time": int(self.spans[name].start.timestamp())}
            for name in [context["bot_name"], *others][:MOST_ELSEWHERE]
        ]
        return [*once, *once]

    @cached_property
    def outage(self) -> Outage:
        """Logs requests that fail and are retried."""
        return Outage(self.stream.logger)

    @cached_property
    def _announced(self) -> AnnouncedSchema:
        return AnnouncedSchema(self.stream.schema, self.stream.effective_schema)

    @cached_property
    def _undocumented(self) -> UndocumentedFields:
        return UndocumentedFields(self.stream.logger, self.stream.name)

    @cached_property
    def _is_shallow(self) -> bool:
        """Whether neither the selection nor any other step of the SDK needs nested values."""
        stream, looks_into = self.stream, ("stream_maps", "flattening_enabled", "batch_config")
        is_nested_selected = all(stream.mask[place] for place in stream.metadata if len(place) > 2)  # noqa: PLR2004
        is_as_documented = is_nested_selected and not self._announced.is_changed
        return self._target is not None and is_as_documented and not any(map(stream.config.get, looks_into))


def warn_of_gap(span: BotSpan, unused: set[str]) -> None:
    """Warn about a gap between a bookmark and a later start date, and about a bot that may have been renamed.

    Args:
        span: The bot's span.
        unused: Bots that have a bookmark but are not read.
    """
    begins, bookmark = span.settings.start, span.bookmark
    if bookmark and bookmark < begins:
        span.logger.warning(
            "%s: the time between its bookmark (%s) and `start_date` (%s) is not read; to read it, set "
            "`start_date` to the bookmark or earlier",
            span.name,
            f"{bookmark:%Y-%m-%d %H:%M} UTC",
            f"{begins:%Y-%m-%d %H:%M} UTC",
        )
    elif bookmark is None and unused:
        span.logger.warning(
            "%s: no bookmark, so it begins at `start_date`; the state has bookmarks for %s, not in `bot_names`: if the "
            "bot was renamed, rename it in the state too",
            span.name,
            ", ".join(f"'{name}'" for name in sorted(unused)),
        )
