"""How a bot's records are read so that nothing is lost and nothing begins again.

A span of time is cut into windows, of which several are read at once. The API promises no order, so
the bookmark does not follow the records. It moves when everything from the beginning on up to some
window's end has been read whole and handed on, and a STATE message says so. That is a checkpoint:
whatever ends the run, the next one goes on there.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalSyncError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from singer_sdk.singerlib.messages import RecordMessage
from typing_extensions import override

from tap_deepconverse.client import ExportStream
from tap_deepconverse.failures import CursorRefusedError, PageTooLargeError
from tap_deepconverse.notices import MOST_NAMED, Notices
from tap_deepconverse.pagination import NESTED_TOO_DEEPLY, UnusableRecordError
from tap_deepconverse.progress import Progress
from tap_deepconverse.quoting import field_names, name_of_record
from tap_deepconverse.readers import Readers
from tap_deepconverse.records import converters
from tap_deepconverse.settings import parse_date
from tap_deepconverse.stream_maps import explain_failure
from tap_deepconverse.timestamps import format_time, parse_time
from tap_deepconverse.windows import Coverage, Window, WindowPlanner, next_bookmark, shows_selection
from tap_deepconverse.writer import PageWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_deepconverse.pagination import Page

STILL_CHANGING = timedelta(hours=1)
"""What is younger may change while it is read, and shows nothing of how the API selects."""

MOST_DAYS = 36_500
"""Days from which on more make no difference: a century."""

TO_THE_SECOND = len("2026-01-01T00:00:00")


@dataclass(frozen=True, slots=True)
class PlacedPage:
    """A page, and where it stands: in which window, and as which of its pages, from 1."""

    page: Page
    window: Window
    number: int

    def __str__(self) -> str:
        """Name the page in a log line.

        Returns:
            For example "page 3 of the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z".
        """
        return f"page {self.number} of {self.window}"


@dataclass
class Reading:
    """A window that is being read, and the newest time seen in it so far, as text."""

    window: Window
    newest: str | None = None

    @cached_property
    def span(self) -> tuple[str, str]:
        """The window's beginning and end, as texts."""
        return format_time(self.window.start_moment), format_time(self.window.end_moment)

    @cached_property
    def edges(self) -> frozenset[str]:
        """The window's first and last second, as texts: what lies there may be in two windows."""
        return frozenset(text[:TO_THE_SECOND] for text in self.span)


class IncrementalStream(ExportStream):
    """A stream that is read in windows of time. Each bot is a partition, with a bookmark of its own."""

    # What the SDK calls sorted is a stream whose bookmark holds after an interruption. This one's
    # does: not because the records came in order, but because it moves at checkpoints only.
    is_sorted = True
    check_sorted = False

    # `post_process` has done that, and the SDK's way looks at each nested value again.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    begin_key: str | None = None
    """Field with the time at which what a record tells of began, if it has one beside the replication key."""

    @override
    def __init__(self, tap: Tap) -> None:
        """Initialize the stream.

        Args:
            tap: The tap, whose beginning is where a sync ends unless `end_date` says otherwise.
        """
        super().__init__(tap)
        self.run_began = datetime.fromtimestamp(tap.initialized_at / 1000, UTC)
        self._writer = tap.message_writer if isinstance(tap.message_writer, PageWriter) else None
        # A catalog may take the replication key away, or put another in its place.
        self._version_key = self.replication_key or ""
        self._converters = converters(self.schema)
        self._undocumented_fields: set[str] = set()
        self._undocumented_field_lines = 0
        self._reading: Reading | None = None
        self._place: tuple[PlacedPage, int] | None = None
        self._versions_at_edges: dict[str, str] = {}
        self._bot_name = ""
        self._notices: Notices  # of the bot that is being read
        self._is_selection_known = False
        self._held_back: list[tuple[Context, str]] | None = None

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in dict.fromkeys(self.config["bot_names"])]

    @cached_property
    def end(self) -> datetime:
        """Where this run ends: at the end date, but not after the moment it began: things go on there."""
        end_date = self.config.get("end_date")
        return min(parse_date(end_date), self.run_began) if end_date else self.run_began

    def bookmark(self, context: Context) -> datetime | None:
        """Read where a bot's bookmark stands.

        Args:
            context: The partition: `bot_name`.

        Returns:
            The time that the state holds, or None if it holds none or is not to be used.
        """
        if self.replication_method != REPLICATION_INCREMENTAL:
            return None
        value = self.get_context_state(context).get("replication_key_value")
        return None if value is None else parse_time(value)

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read a bot's records, from a little behind its bookmark (or the start date) to the end.

        Args:
            context: The partition: `bot_name`.

        Yields:
            The records as the API sends them.

        Raises:
            FatalAPIError: If the API refuses, or answers with errors until patience ends.
        """
        context = context or {}
        bot_name = context["bot_name"]
        bookmark = self.bookmark(context)
        start = parse_date(self.config["start_date"])
        lookback = timedelta(days=min(self.config["lookback_days"], MOST_DAYS))
        if bookmark is not None and bookmark - start > lookback:
            start = bookmark - lookback
        if start >= self.end or (bookmark and self.config.get("end_date") and bookmark >= self.end):
            self.logger.warning(
                "Bot '%s', stream '%s': nothing to do up to %s, since %s",
                bot_name,
                self.name,
                f"{self.end:%Y-%m-%d %H:%M} UTC",
                f"the bookmark is at {bookmark:%Y-%m-%d %H:%M} UTC: should that be wrong, mend the state"
                if bookmark
                else f"`start_date` is {start}",
            )
            return

        self._bot_name = bot_name
        self._notices = Notices(self.logger, bot_name, self.name)
        progress = Progress(start, self.end)
        with self.explained(bot_name), self._flushed():
            yield from self._read_whole(context, progress)
        self._notices.sum_up()
        self.logger.info("Bot '%s', stream '%s': %s", bot_name, self.name, progress.summary())
        if bookmark is None and not progress.records:
            self.logger.warning(
                "Bot '%s', stream '%s': nothing at all since %s; if the bot has talked since then, its name in "
                "`bot_names` may be wrong",
                bot_name,
                self.name,
                start,
            )

    @contextmanager
    def _flushed(self) -> Iterator[None]:
        """Let nothing stay behind of what has been handed on, when the reading ends or fails."""
        try:
            yield
        finally:
            if self._writer:
                self._writer.flush()

    def _tend_to_target(self) -> None:
        if self._writer:
            self._writer.flush()
            self._writer.check_target()

    def _read_whole(self, context: Context, progress: Progress) -> Iterator[Record]:
        """Read a span, several windows at once, and move the bookmark as it becomes whole from its beginning on."""
        coverage = Coverage(progress.start)
        readings: dict[Window, Reading] = {}
        self._versions_at_edges = {}
        ahead = threading.Semaphore(2 * self.config["concurrency"])
        readers = self._readers(context["bot_name"], progress.start, ahead)
        for window, placed in readers.parts(self._tend_to_target):
            # What is yielded comes back by way of `post_process` and `_increment_stream_state`.
            self._reading = readings.setdefault(window, Reading(window))
            if placed is not None:
                progress.records += len(placed.page.data)
                try:
                    yield from self._records_of(placed)
                except UnusableRecordError as error:
                    readers.fail(window, FatalSyncError(f"record {error.position} of {placed} {error.reason}"))
                continue
            progress.windows += 1
            newest = readings.pop(window).newest
            if became_whole := coverage.finish(window, None if newest is None else parse_time(newest)):
                ahead.release(became_whole)
                whole_until = min(coverage.whole_until, self.end)
                self._checkpoint(context, coverage.newest, whole_until)
                if whole_until < self.end and (line := progress.report(whole_until)):
                    self.logger.info("Bot '%s', stream '%s': %s", context["bot_name"], self.name, line)

    def _records_of(self, placed: PlacedPage) -> Iterator[Record]:
        """Parse a page's records, and say what could not be kept of them as it was."""
        if placed.page.has_lost_text:
            self._notices.notice(
                "pages with text that no target could store",
                f"{placed} holds text that no target could store, such as half an emoji; the character U+FFFD is put "
                "in its place",
            )

        def notice_repeated_key(position: int) -> None:
            self._notices.notice(
                "records with a key that stands twice",
                f"record {position} of {placed} has the same key twice in an object; the last one counts",
            )

        for position, record in placed.page.records(notice_repeated_key):
            self._place = placed, position
            yield record

    def _readers(self, bot_name: str, start: datetime, ahead: threading.Semaphore) -> Readers[PlacedPage]:
        """Get the readers of a span ready.

        Args:
            bot_name: The bot.
            start: Where the span begins.
            ahead: How many more windows may be begun before those that come first are whole: what is
                read beyond a window that takes long would be read again if the run were ended.
        """
        longest = timedelta(days=min(self.config["window_days"], MOST_DAYS))
        planner = WindowPlanner(start, self.end, longest, self.config["page_size"], self.config["concurrency"])
        planning = threading.Lock()
        pace, stopped = self.pace, threading.Event()
        self.stopped = stopped

        def next_window() -> Window | None:
            while not ahead.acquire(timeout=0.1):
                if stopped.is_set() or not planner.has_more:
                    return None
            # Cut as late as possible, when most is known of what the windows hold.
            pace.wait_ahead(stopped, lambda: planner.has_more)
            with planning:
                return planner.next_window(pace.in_flight)

        def read(window: Window) -> Iterator[PlacedPage]:
            records: Counter[Window] = Counter()
            for placed in self._read_window(bot_name, window, self.config["page_size"]):
                if placed.number == 1:  # what was read before of the same is read again
                    records = Counter({part: n for part, n in records.items() if part.end <= placed.window.start})
                records[placed.window] += len(placed.page.data)
                yield placed
            with planning:
                planner.learn(window, records.total())

        return Readers(self.config["concurrency"], next_window, read, stopped)

    def _read_window(
        self, bot_name: str, window: Window, page_size: int, *, is_second_time: bool = False
    ) -> Iterator[PlacedPage]:
        """Read a window's pages, from its beginning again where the API cannot go on.

        It is not documented whether a cursor may be followed with another number of records a page. So
        smaller pages begin anew, in halves of the window: then only a small part of it, around what
        is too large, comes to be read in the smallest pages.
        """
        request: Any = {
            "bot_name": bot_name,
            "start_time": window.start,
            "end_time": window.end,
            "per_page": page_size,
        }
        pages: Iterable[Any] = self.request_records(request)
        number = 0
        try:
            for number, page in enumerate(pages, 1):
                yield PlacedPage(page, window, number)
        except UnusableRecordError as error:
            msg = f"record {error.position} of page {number + 1} of {window} {error.reason}"
            raise FatalSyncError(msg) from None
        except CursorRefusedError as error:
            if is_second_time:
                how = "if the target is slower than a cursor lives, set `window_days` lower"
                msg = f"{error}, twice in {window}; {how}"
                raise FatalSyncError(msg) from None
            again = {window: True}
            self._say_again(bot_name, error, window, "from its beginning, once")
        except PageTooLargeError as error:
            if page_size == 1:
                msg = f"{error}, not even one of a single record, in {window}; report it to DeepConverse if it stays"
                raise FatalSyncError(msg) from None
            again = dict.fromkeys(window.halves(), False)
            page_size //= 2
            how = f"in halves, in pages of {page_size} records; if this comes often, set `page_size` to that"
            self._say_again(bot_name, error, window, how)
        else:
            return
        for part, is_once_more in again.items():
            yield from self._read_window(bot_name, part, page_size, is_second_time=is_once_more)

    def _say_again(self, bot_name: str, reason: Exception, window: Window, how: str) -> None:
        self.logger.warning("Bot '%s', stream '%s': %s; reading %s again %s", bot_name, self.name, reason, window, how)

    def _checkpoint(self, context: Context, newest: datetime | None, whole_until: datetime) -> None:
        """Move the bookmark up to what has been read whole, and tell the target.

        The records have been written by now: the SDK asks for the next one only when it has
        written the one before.
        """
        if self.replication_method != REPLICATION_INCREMENTAL:
            return
        bookmark = self.bookmark(context)
        moved = next_bookmark(bookmark, newest, whole_until)
        if moved is None or moved == bookmark:
            return
        if self._held_back is not None:
            self._held_back.append((context, format_time(moved)))
            return
        self._move_bookmark(context, format_time(moved))
        self.finalize_state_progress_markers(self.get_context_state(context))

    def _move_bookmark(self, context: Context, value: str) -> None:
        key = self.replication_key or ""
        self.state_manager.increment_state({key: value}, context=context, replication_key=key)

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        """Write the records to files, and hold checkpoints back until the target has been told of those.

        Args:
            batch_config: How to write the files.
            context: Not used: the partitions are the bots.

        Yields:
            The encoding and the paths of a batch.
        """
        self._held_back = []
        for batch in super().get_batches(batch_config, context):
            reached, self._held_back = self._held_back, []
            yield batch
            for checkpoint in reached:
                self._move_bookmark(*checkpoint)
        for checkpoint in self._held_back:
            self._move_bookmark(*checkpoint)

    @override
    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        # Private, for want of a public hook: by itself the SDK moves the bookmark with each
        # record, which holds only where records come in order.
        newest, reading = latest_record.get(self.replication_key or ""), self._reading
        if newest is None or reading is None:
            return
        if reading.newest is None or newest > reading.newest:
            reading.newest = newest
        if not self._is_selection_known and self.begin_key and (began := latest_record.get(self.begin_key)):
            first, last = reading.span
            if began < first or newest > last:
                self._notice_selection(reading.window, parse_time(began), parse_time(newest))

    @override
    def generate_child_contexts(self, record: Record, context: Context | None) -> Iterable[Context | None]:
        """Generate no contexts of child streams: there are none.

        Args:
            record: A record. The SDK would evaluate the filters of stream maps on it, where failing explains nothing.
            context: The partition.

        Returns:
            Nothing.
        """
        return ()

    @cached_property
    def _is_all_selected(self) -> bool:
        return all(self.mask.values())

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        # Private, for want of a public hook: the SDK looks up each nested key of each record, to see
        # whether it was deselected, even where nothing was. That took a fifth of a sync's time.
        try:
            if not self._is_all_selected:
                yield from super()._generate_record_messages(record)
                return
            for stream_map in self.stream_maps:
                mapped = stream_map.transform(record)
                if mapped is not None:
                    yield RecordMessage(
                        stream=stream_map.stream_alias,
                        record=mapped,
                        version=self._stream_version,
                        time_extracted=datetime.now(UTC),
                    )
        except RecursionError:
            raise self._failure_at_record(NESTED_TOO_DEEPLY) from None
        except Exception as error:  # noqa: BLE001  an expression may fail in any way
            what = explain_failure(error, self.config.get("stream_maps"))
            reason = (
                "cannot be brought into the form that `stream_maps` or the selection asks for "
                f"({what}); check `stream_maps`, and that `stream_map_config` has what it uses"
            )
            raise self._failure_at_record(reason) from None

    def _failure_at_record(self, reason: str) -> FatalSyncError:
        """Say which record it was that something failed at, and nothing of what it holds."""
        placed, position = self._place or ("the stream", 0)
        return FatalSyncError(f"Bot '{self._bot_name}', stream '{self.name}': record {position} of {placed} {reason}.")

    def _notice_selection(self, window: Window, began: datetime, updated: datetime) -> None:
        """Say which time the API selects by, once a record settles it: the documentation does not."""
        match shows_selection(window, began, updated):
            case "updated":
                self._is_selection_known = True
                self.logger.info(
                    "Stream '%s': the API selects by `%s`, so each change is found; `lookback_days` (%d) only has to "
                    "be as long as the archive may lag behind",
                    self.name,
                    self.replication_key,
                    self.config["lookback_days"],
                )
            case "began" if updated < self.run_began - STILL_CHANGING:
                self._is_selection_known = True
                self.logger.info(
                    "Stream '%s': the API selects by `%s`, so a change is found only in what began within "
                    "`lookback_days` (%d) before the bookmark; make that as many days as a conversation may go on",
                    self.name,
                    self.begin_key,
                    self.config["lookback_days"],
                )

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record | None:
        """Give each field the type that the schema promises.

        Args:
            row: The record as the API sent it.
            context: The partition: `bot_name`.

        Returns:
            The record for the target. A time that cannot be read is null. None if a newer version of the
            same record has been handed on already, from the neighbouring window.
        """
        bot_name = (context or {})["bot_name"]
        if "bot_name" in row:
            name = "api_bot_name"
            while name in row:
                name = f"api_{name}"
            row[name] = row.pop("bot_name")
        row["bot_name"] = bot_name
        for field, convert in self._converters.items():
            value = row.get(field)
            try:
                row[field] = None if value is None else convert(value)
            except ValueError as error:
                row[field] = None
                self._notices.notice(
                    f"times in `{field}` that cannot be read",
                    f"`{field}` of {name_of_record(row['_id'])} is {error}; it is null in the target",
                )
            except RecursionError:
                raise self._failure_at_record(NESTED_TOO_DEEPLY) from None
        if len(row) > len(self._converters) and self._undocumented_field_lines < MOST_NAMED:
            self._name_undocumented_fields(row)
        return None if self._is_older_version(row) else row

    def _is_older_version(self, row: Record) -> bool:
        """See whether a record on a window's edge has come before, from the neighbour, and newer.

        Neighbours are read at the same time, so the later window's version may be the older one.
        """
        version, began = row.get(self._version_key), row.get(self.begin_key or "")
        edges = self._reading.edges if self._reading else ()
        if version is None or (
            version[:TO_THE_SECOND] not in edges and (began is None or began[:TO_THE_SECOND] not in edges)
        ):
            return False
        newest = self._versions_at_edges.setdefault(row["_id"], version)
        if version > newest:
            self._versions_at_edges[row["_id"]] = version
        return bool(version < newest)

    def _name_undocumented_fields(self, row: Record) -> None:
        new = row.keys() - self._converters.keys() - self._undocumented_fields
        if new:
            self._undocumented_fields.update(new)
            self._undocumented_field_lines += 1
            self.logger.info(
                "Stream '%s': the API sends fields that its documentation does not name (%s); they are passed on, and "
                "kept by targets that take additional properties%s",
                self.name,
                field_names(new),
                "; more of these are not named" if self._undocumented_field_lines == MOST_NAMED else "",
            )
