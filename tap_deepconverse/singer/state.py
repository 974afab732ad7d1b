"""The state: its declared form, the check of a given one, and how far each bot has been read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_deepconverse.records.values import format_time, parse_iso

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from singer_sdk import Stream
    from singer_sdk.helpers.types import Context

Form = TypeVar("Form")

logger = logging.getLogger("tap-deepconverse")

HOUR = 3_600
MOST_HOURS = 168  # a week
MOST_RECORDS = 100_000_000  # in an hour

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Moment(datetime):
    """A time in ISO 8601, in UTC if it has no offset."""


class _PerHour(Struct):
    since: _Moment
    counts: list[Annotated[int, Meta(ge=0, le=MOST_RECORDS)]]


class _Bot(Struct, forbid_unknown_fields=True):
    bot_name: str


class _Partition(Struct):
    context: _Bot
    replication_key: str | None = None
    replication_key_value: _Moment | None = None
    complete_since: _Moment | None = None
    complete_until: _Moment | None = None
    per_hour: Any = None  # see `_PerHour`
    recent_counts: Any = None  # of version 1.0
    replication_key_signpost: Any = None
    starting_replication_value: Any = None


class _StreamState(Struct, forbid_unknown_fields=True):
    partitions: list[_Partition] = []
    replication_key_signpost: Any = None
    starting_replication_value: Any = None


class _State(Struct, forbid_unknown_fields=True):
    bookmarks: dict[str, Any]
    currently_syncing: Any = None


def _read(value: Any, form: type[Form]) -> Form:
    """Raise `msgspec.ValidationError`, which names the place."""
    return msgspec.convert(value, form, dec_hook=_read_moment)


def _read_moment(_: type, text: Any) -> _Moment:
    try:
        moment = parse_iso(text.strip())
    except (AttributeError, OverflowError, ValueError):
        moment = None
    if moment is None or moment < _EPOCH:
        msg = "Expected a time from 1970 on in ISO 8601"
        raise ValueError(msg)
    return _Moment.combine(moment.date(), moment.timetz())


class UnreadableStateError(ConfigurationError):
    """The state is not of the form that a run writes."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The state cannot be read: {reason}; give the tap the object with `bookmarks` that its last run wrote "
            "(the `value` of a STATE message, the `singer_state` of Meltano), or no state to begin at `start_date`."
        )


def check_state(state: Any, streams: Collection[str]) -> None:
    """Check a state before any request; raise `UnreadableStateError` if a run with it would silently start again."""
    name = ""
    try:
        bookmarks = _read({"bookmarks": {}} if state == {} else state, _State).bookmarks
        others = ", ".join(repr(name) for name in bookmarks if name not in streams)
        if bookmarks and not bookmarks.keys() & set(streams):
            msg = f"it has no bookmark for {' or '.join(streams)}, only for {others}"
            raise ValueError(msg)  # noqa: TRY301
        for name in streams:
            _check_partitions(bookmarks.get(name, {}))
    except ValueError as error:  # msgspec's are, too
        reason = f"{error}, in the bookmarks of the stream '{name}'" if name else str(error)
        raise UnreadableStateError(reason) from None
    if others:
        logger.warning("The state has bookmarks for %s, not a stream of this tap: check the spelling.", others)


def _check_partitions(stream_state: Any) -> None:
    bots = set()
    for number, partition in enumerate(_read(stream_state, _StreamState).partitions):
        bot = f"the bot '{partition.context.bot_name}'"
        if bot in bots:
            msg = f"two partitions for {bot}"
            raise ValueError(msg)
        bots.add(bot)
        unknown = stream_state["partitions"][number].keys() - set(_Partition.__struct_fields__)
        if unknown and partition.replication_key_value is None:
            msg = f"{', '.join(map(repr, sorted(unknown)))} instead of `replication_key_value` for {bot}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Resume:
    """Where the last run of a bot has come to.

    Attributes:
        bookmark: The newest time of a record.
        complete_until: The time up to which everything has been read.
        per_hour: Records of the last week, by the start of the hour in Unix seconds.
    """

    bookmark: datetime | None = None
    complete_until: datetime | None = None
    per_hour: Mapping[int, int] = field(default_factory=dict)


class Checkpoints:
    """Reads and writes how far each bot of a stream has been read. With FULL_TABLE, it does neither."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._resumes: dict[str, Resume] = {}

    @property
    def _is_incremental(self) -> bool:
        return self._stream.replication_method == REPLICATION_INCREMENTAL

    @property
    def _partitions(self) -> dict[str, _Partition]:
        if not self._is_incremental:
            return {}
        partitions = [_read(each, _Partition) for each in self._stream.stream_state.get("partitions", [])]
        return {partition.context.bot_name: partition for partition in partitions}

    @property
    def bots(self) -> set[str]:
        """The bots with a bookmark."""
        return {name for name, partition in self._partitions.items() if partition.replication_key_value}

    def resume(self, context: Context) -> Resume:
        """Return where a bot's last run has come to. A time later than now counts as now, with a warning."""
        name = context["bot_name"]
        if name not in self._resumes:
            partition = self._partitions.get(name) or _Partition(_Bot(name))
            # If somebody has set the bookmark back, the time after it is to be read again.
            is_valid = partition.complete_since == partition.replication_key_value
            times = [partition.replication_key_value, partition.complete_until if is_valid else None]
            now = datetime.now(UTC)
            if late := [moment for moment in times if moment and moment > now]:
                where = f"Bot '{name}', stream '{self._stream.name}'"
                logger.warning("%s: %s in the state is later than now, and counts as now", where, late[0])
            bookmark, complete_until = (moment and min(moment, now) for moment in times)
            self._resumes[name] = Resume(bookmark, complete_until, _read_per_hour(partition.per_hour))
        return self._resumes[name]

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
        key = self._stream.replication_key or ""
        self._stream.state_manager.increment_state({key: format_time(newest)}, context=context, replication_key=key)
        partition = self._stream.get_context_state(context)
        partition.pop("recent_counts", None)
        partition |= {"complete_since": format_time(newest), "complete_until": format_time(reached)}
        partition["per_hour"] = _written(per_hour)
        self._stream.finalize_state_progress_markers(partition)


def _read_per_hour(written: Any) -> dict[int, int]:
    """Return the counts; none if somebody has edited them and they are not valid."""
    try:
        per_hour = _read(written, _PerHour)
    except msgspec.ValidationError:
        return {}
    since = int(per_hour.since.timestamp()) // HOUR * HOUR
    return {since + HOUR * number: count for number, count in enumerate(per_hour.counts)}


def _written(per_hour: Mapping[int, int]) -> dict[str, Any] | None:
    if not per_hour:
        return None
    last = max(per_hour)
    first = max(min(per_hour), last - HOUR * (MOST_HOURS - 1))
    counts = [per_hour.get(hour, 0) for hour in range(first, last + 1, HOUR)]
    return {"since": f"{datetime.fromtimestamp(first, UTC):%Y-%m-%dT%H:%M:%SZ}", "counts": counts}
