"""Moves the bookmarks of a stream, and stores recent record counts beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_deepconverse.extract.checkpoint import next_bookmark
from tap_deepconverse.extract.density import Count
from tap_deepconverse.records.timestamps import format_time, parse_time
from tap_deepconverse.singer.state_check import COUNTS, read_bookmark

if TYPE_CHECKING:
    from singer_sdk import Stream
    from singer_sdk.helpers.types import Context

    from tap_deepconverse.extract.span import BotSpan

MOST_COUNTS = 100  # entries in the recent counts, or a few more
FEWEST_COUNTED = 150  # adjacent entries are merged up to this many records


class Checkpoints:
    """Moves the bookmarks of a stream up to what is complete, and writes STATE messages."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held_back: list[tuple[Context, str, BotSpan]] | None = None

    @property
    def _partitions(self) -> list[dict[str, Any]]:
        partitions: list[dict[str, Any]] = self._stream.stream_state.get("partitions", [])
        return partitions

    def _partition(self, context: Context) -> dict[str, Any]:
        # The SDK's `get_context_state` would add a missing partition.
        return next((partition for partition in self._partitions if partition["context"] == context), {})

    @property
    def bots(self) -> set[str]:
        """The bots with a bookmark."""
        if self._stream.replication_method != REPLICATION_INCREMENTAL:
            return set()
        return {each["context"]["bot_name"] for each in self._partitions if each.get("replication_key_value")}

    def bookmark(self, context: Context) -> datetime | None:
        """Return a bot's bookmark; None if there is none, or the replication method is not incremental."""
        if self._stream.replication_method != REPLICATION_INCREMENTAL:
            return None
        return read_bookmark(self._partition(context).get("replication_key_value"))

    def counts(self, context: Context) -> list[Count]:
        """Return the recent counts of earlier runs, in order of time; none if they were edited and are not valid."""
        try:
            counts = [
                Count(_seconds(start), _seconds(end), max(0, int(records)))
                for start, end, records in self._partition(context).get(COUNTS, [])
            ]
        except (TypeError, ValueError):
            return []
        counts.sort(key=lambda count: count.start)
        return [] if any(count.end > after.start for count, after in pairwise(counts)) else counts

    def advance(self, context: Context, span: BotSpan) -> None:
        """Move a bot's bookmark up to what is complete, and write a STATE.

        The records are already written: the SDK takes the next record only after writing the one before.
        """
        if self._stream.replication_method != REPLICATION_INCREMENTAL:
            return
        bookmark = self.bookmark(context)
        moved = next_bookmark(bookmark, span.coverage.newest, span.complete_until)
        if moved is None or moved == bookmark:
            return
        if self._held_back is not None:
            self._held_back.append((context, format_time(moved), span))
        else:
            self._move(context, format_time(moved), span)
            self._stream.finalize_state_progress_markers(self._stream.get_context_state(context))

    def hold_back(self) -> None:
        """Hold checkpoints back until `release`: the target does not have the records yet."""
        self._held_back = self._held_back or []

    def release(self) -> list[tuple[Context, str, BotSpan]]:
        """Return the checkpoints held back so far, for `move_all` once the target has the records."""
        held_back, self._held_back = self._held_back or [], []
        return held_back

    def move_all(self, checkpoints: list[tuple[Context, str, BotSpan]]) -> None:
        """Move the bookmarks to the checkpoints that `release` returned."""
        for checkpoint in checkpoints:
            self._move(*checkpoint)

    def _move(self, context: Context, value: str, span: BotSpan) -> None:
        key = self._stream.replication_key or ""
        self._stream.state_manager.increment_state({key: value}, context=context, replication_key=key)
        since = parse_time(value) - timedelta(days=span.settings.lookback_days + 1)
        self._stream.get_context_state(context)[COUNTS] = _counts(span, int(since.timestamp()))


def _counts(span: BotSpan, since: int) -> list[tuple[str, str, int]]:
    counts = span.coverage.counts = [count for count in span.coverage.counts if count.end > since]
    fewest = max(FEWEST_COUNTED, sum(count.records for count in counts) / MOST_COUNTS)
    merged: list[Count] = []
    for count in counts:
        last = merged[-1] if merged else None
        if last and last.records + count.records <= fewest:
            merged[-1] = Count(last.start, count.end, last.records + count.records)
        else:
            merged.append(count)
    return [(_text(count.start), _text(count.end), round(count.records)) for count in merged]


def _seconds(text: str) -> int:
    return int(parse_time(text).timestamp())


def _text(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
