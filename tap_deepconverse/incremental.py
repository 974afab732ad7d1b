"""How a bot's records are read so that nothing is lost and nothing begins again.

A span of time is cut into windows, which are read one after another. Within a window the API
promises no order, so the bookmark stands still; when a window has been read whole, it moves, and
a STATE message says so. That is a checkpoint: whatever ends the run, the next one goes on there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalSyncError
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_deepconverse.client import ExportStream
from tap_deepconverse.progress import Progress
from tap_deepconverse.records import converters
from tap_deepconverse.settings import parse_date
from tap_deepconverse.timestamps import format_time, parse_time
from tap_deepconverse.windows import Window, next_bookmark, windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record


STILL_CHANGING = timedelta(hours=1)
"""What is younger may change while it is read, and shows nothing of how the API selects."""


class IncrementalStream(ExportStream):
    """A stream that is read in windows of time. Each bot is a partition, with a bookmark of its own."""

    # What the SDK calls sorted is a stream whose bookmark holds after an interruption. This one's
    # does: not because the records came in order, but because it moves at checkpoints only.
    is_sorted = True
    check_sorted = False

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
        self._converters = converters(self.schema)
        self._undocumented_fields: set[str] = set()
        self._newest: str | None = None
        self._window: Window | None = None
        self._is_selection_known = False
        self._held_back: list[tuple[Context, str]] | None = None

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in dict.fromkeys(self.config["bot_names"])]

    @cached_property
    def end(self) -> datetime:
        """Where this run ends: at the end date, or the moment it began."""
        end_date = self.config.get("end_date")
        return parse_date(end_date) if end_date else self.run_began

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
        if bookmark is not None:
            start = max(start, bookmark - timedelta(days=self.config["lookback_days"]))
        if start >= self.end or (bookmark and self.config.get("end_date") and bookmark >= self.end):
            self.logger.warning(
                "Bot '%s', stream '%s': nothing to do until %s, since %s",
                bot_name,
                self.name,
                self.end,
                f"the bookmark is at {bookmark}" if bookmark else f"`start_date` is {start}",
            )
            return

        self._newest = None
        progress = Progress(start, self.end)
        for window in windows(start, self.end, timedelta(days=self.config["window_days"])):
            self._window = window
            with self.explained(bot_name):
                for record in self.request_records(
                    {"bot_name": bot_name, "start_time": window.start, "end_time": window.end}
                ):
                    progress.records += 1
                    yield record
            progress.windows += 1
            whole_until = min(window.end_moment, self.end)
            self._checkpoint(context, whole_until)
            if whole_until < self.end and (line := progress.report(whole_until)):
                self.logger.info("Bot '%s', stream '%s': %s", bot_name, self.name, line)

        self.logger.info("Bot '%s', stream '%s': %s", bot_name, self.name, progress.summary())
        if bookmark is None and not progress.records:
            self.logger.warning(
                "Bot '%s', stream '%s': nothing at all since %s; if the bot has talked since then, its name in "
                "`bot_names` may be wrong",
                bot_name,
                self.name,
                start,
            )

    def _checkpoint(self, context: Context, whole_until: datetime) -> None:
        """Move the bookmark up to what has been read whole, and tell the target.

        The records have been written by now: the SDK asks for the next one only when it has
        written the one before.
        """
        bookmark = self.bookmark(context)
        newest = None if self._newest is None else parse_time(self._newest)
        moved = next_bookmark(bookmark, newest, whole_until)
        if self.replication_method != REPLICATION_INCREMENTAL or moved == bookmark or moved is None:
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
        newest = latest_record.get(self.replication_key or "")
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest
        if self.begin_key and not self._is_selection_known:
            self._notice_selection(latest_record, self.begin_key, newest)

    def _notice_selection(self, record: Record, begin_key: str, newest: str | None) -> None:
        """Say which time the API selects by, once a record settles it: the documentation does not."""
        window, began = self._window, record.get(begin_key)
        if window is None or began is None or newest is None:
            return
        began_before = parse_time(began) < window.start_moment
        # A second more, since the archive may hold whole seconds only.
        updated_after = parse_time(newest) > window.end_moment + timedelta(seconds=1)
        if began_before and not updated_after:
            self._is_selection_known = True
            self.logger.info(
                "Stream '%s': the API selects by `%s`, so each change is found; `lookback_days` (%d) only has to be as "
                "long as the archive may lag behind",
                self.name,
                self.replication_key,
                self.config["lookback_days"],
            )
        elif updated_after and not began_before and window.end_moment < self.run_began - STILL_CHANGING:
            self._is_selection_known = True
            self.logger.info(
                "Stream '%s': the API selects by `%s`, so a change is found only in what began within `lookback_days` "
                "(%d) before the bookmark; make that as many days as a conversation may go on",
                self.name,
                begin_key,
                self.config["lookback_days"],
            )

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record:
        """Give each field the type that the schema promises.

        Args:
            row: The record as the API sent it.
            context: The partition: `bot_name`.

        Returns:
            The record for the target. A time that cannot be read is null.

        Raises:
            FatalSyncError: If the record has no `_id`: it could be neither stored nor recognized.
        """
        bot_name = (context or {})["bot_name"]
        if row.get("_id") is None:
            msg = f"Bot '{bot_name}', stream '{self.name}': the API sent a record without `_id` in {self._window}."
            raise FatalSyncError(msg)
        if "bot_name" in row:
            row["api_bot_name"] = row.pop("bot_name")
        row["bot_name"] = bot_name
        self._name_undocumented_fields(row)
        for field, convert in self._converters.items():
            value = row.get(field)
            try:
                row[field] = None if value is None else convert(value)
            except ValueError as error:
                row[field] = None
                self.logger.warning(
                    "Bot '%s', stream '%s': `%s` of the record with _id '%s' is %s; it is null in the target",
                    bot_name,
                    self.name,
                    field,
                    row.get("_id"),
                    error,
                )
        return row

    def _name_undocumented_fields(self, row: Record) -> None:
        new = row.keys() - self._converters.keys() - self._undocumented_fields
        if new:
            self._undocumented_fields.update(new)
            self.logger.info(
                "Stream '%s': the API sends fields that its documentation does not name (%s); they are passed on, and "
                "kept by targets that take additional properties",
                self.name,
                ", ".join(sorted(new)),
            )
