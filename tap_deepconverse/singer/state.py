"""The state: its declared form, the check of a given one, and how far each bot has been read."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from singer_sdk import Stream
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_deepconverse.api.redact import name_of
from tap_deepconverse.records.values import EPOCH, format_time

logger = logging.getLogger("tap-deepconverse")

HOUR = 3_600
MOST_HOURS = 168  # a week

_Moment = Annotated[datetime, Meta(tz=True)]
_Count = Annotated[int, Meta(ge=0, le=100_000_000)]


class _PerHour(Struct):
    since: _Moment
    counts: list[_Count]


class _Bot(Struct, forbid_unknown_fields=True):
    bot_name: str


class _Partition(Struct, forbid_unknown_fields=True):
    context: _Bot
    replication_key: Any = None
    replication_key_value: _Moment | None = None
    complete_since: _Moment | None = None
    complete_until: _Moment | None = None
    per_hour: _PerHour | None = None
    # Of version 1.0:
    recent_counts: Any = None
    replication_key_signpost: Any = None
    starting_replication_value: Any = None


class _StreamState(Struct, forbid_unknown_fields=True):
    partitions: list[_Partition] = []


def check_state(state: Any, streams: Collection[str]) -> None:
    """Raise `ConfigurationError` if a run with this state would silently begin at `start_date`."""
    fields = [(name, _StreamState, msgspec.field(default_factory=_StreamState)) for name in streams]
    bookmarks = msgspec.defstruct("Bookmarks", fields, forbid_unknown_fields=True)
    form = msgspec.defstruct("State", [("bookmarks", bookmarks)])
    try:
        msgspec.convert({"bookmarks": {}} if state == {} else state, form)
    except msgspec.ValidationError as error:
        msg = (
            f"The state cannot be read: {error}; give the tap the object with `bookmarks` that its last run wrote (the "
            "`value` of a STATE message, the `singer_state` of Meltano), or no state to begin at `start_date`."
        )
        raise ConfigurationError(msg) from None


@dataclass(frozen=True)
class Resume:
    """Where the last run of a bot has come to: the newest time of a record, and up to when everything has been read.

    `per_hour` are the records of the last week, by the start of the hour in Unix seconds.
    """

    bookmark: datetime | None = None
    complete_until: datetime | None = None
    per_hour: Mapping[int, int] = field(default_factory=dict)


class Checkpoints:
    """Reads and writes how far each bot of a stream has been read. With FULL_TABLE, it does neither.

    Attributes:
        bots: The bots with a bookmark.
    """

    def __init__(self, stream: Stream) -> None:
        """Read the state. A time later than now counts as now, with a warning."""
        self._stream = stream
        self._is_incremental = stream.replication_method == REPLICATION_INCREMENTAL
        given = stream.stream_state.get("partitions", []) if self._is_incremental else []
        partitions = msgspec.convert(given, list[_Partition])
        self._resumes = {partition.context.bot_name: self._resume(partition) for partition in partitions}
        self.bots = {name for name, resume in self._resumes.items() if resume.bookmark}

    def _resume(self, partition: _Partition) -> Resume:
        bookmark = partition.replication_key_value
        # If somebody has set the bookmark back, the time after it is to be read again.
        complete_until = partition.complete_until if partition.complete_since == bookmark else None
        now = datetime.now(UTC)
        if max(bookmark or now, complete_until or now) > now:
            where = name_of(partition.context.bot_name, self._stream.name)
            logger.warning("%s: the state has a time later than now, which counts as now", where)
        hours = partition.per_hour or _PerHour(EPOCH, [])
        first = int(hours.since.timestamp()) // HOUR * HOUR
        return Resume(
            bookmark and max(EPOCH, min(bookmark, now)),
            complete_until and max(EPOCH, min(complete_until, now)),
            {first + HOUR * number: count for number, count in enumerate(hours.counts)},
        )

    def resume(self, context: Context) -> Resume:
        """Return where a bot's last run has come to."""
        return self._resumes.get(context["bot_name"], Resume())

    def advance(
        self, context: Context, bookmark: datetime | None, complete_until: datetime, per_hour: Mapping[int, int]
    ) -> None:
        """Store how far a bot has been read, and write a STATE. Neither time moves backwards.

        The records up to there must be with the writer. Nothing is written if the bot has had no record yet (`bookmark`
        is None): the next run begins at `start_date` again. Of `per_hour`, the last week is kept.
        """
        before = self.resume(context)
        newest = max(filter(None, (bookmark, before.bookmark)), default=None)
        if newest is None or not self._is_incremental:
            return
        reached = max(filter(None, (complete_until, before.complete_until)))
        self._resumes[context["bot_name"]] = Resume(newest, reached, per_hour)
        partition = self._stream.get_context_state(context)
        partition.pop("recent_counts", None)
        partition |= {
            "replication_key": self._stream.replication_key,
            "replication_key_value": format_time(newest),
            "complete_since": format_time(newest),
            "complete_until": format_time(reached),
            "per_hour": _written(per_hour),
        }
        self._stream.finalize_state_progress_markers(partition)


def _written(per_hour: Mapping[int, int]) -> dict[str, Any] | None:
    if not per_hour:
        return None
    last = max(per_hour)
    first = max(min(per_hour), last - HOUR * (MOST_HOURS - 1))
    counts = [per_hour.get(hour, 0) for hour in range(first, last + 1, HOUR)]
    return {"since": f"{datetime.fromtimestamp(first, UTC):%Y-%m-%dT%H:%M:%SZ}", "counts": counts}
