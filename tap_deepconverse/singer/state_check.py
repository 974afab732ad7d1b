"""Reads the bookmarks in a state, and refuses a state with which a run would silently start again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.records.timestamps import parse_iso

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

logger = logging.getLogger("tap-deepconverse")

COUNTS = "recent_counts"
"""Key in a bot's state with recent record counts, a hint for the next run."""

WRITTEN = {"context", "replication_key", "replication_key_value", "replication_key_signpost"}
WRITTEN |= {"starting_replication_value", COUNTS}
"""Keys that a run writes into a bot's state."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableStateError(ConfigurationError):
    """The state is not of the form that a run writes."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        remedy = remedy or "give the tap the state that its last run wrote, or no state to begin at `start_date`"
        super().__init__(f"The state cannot be read: {reason}; {remedy}.")


def read_bookmark(value: object) -> datetime | None:
    """Parse a bookmark: a time in ISO 8601 (UTC if it has no offset), or None.

    Raises:
        ValueError: If it is anything else, or before 1970.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            moment = parse_iso(value.strip())
        except OverflowError:
            raise ValueError from None
        if moment >= _EPOCH:
            return moment
    raise ValueError


def check_state(state: Any, streams: Collection[str]) -> None:
    """Check the form of a state and its bookmarks, before any request. An unknown stream is a warning.

    Args:
        state: The state as given.
        streams: The names of the tap's streams.

    Raises:
        UnreadableStateError: If a run with it would start again at `start_date`, or fail.
    """
    if isinstance(state, dict):
        _refuse_other_forms(state, streams)
    # A first run may get an empty state.
    bookmarks = state.get("bookmarks", None if state else {}) if isinstance(state, dict) else None
    if not isinstance(bookmarks, dict):
        reason = "it is not an object with `bookmarks`"
        raise UnreadableStateError(reason)
    others = [name for name in bookmarks if name not in streams]
    if others and len(others) == len(bookmarks):
        reason = f"it has no bookmark for {' or '.join(streams)}, only for {_quoted(others)}"
        raise UnreadableStateError(reason)
    for name in others:
        meant = get_close_matches(str(name).lower(), streams, 1)
        hint = f"; if you mean '{meant[0]}', correct the name" if meant else ""
        logger.warning("The state has a stream '%s', which this tap does not have%s.", name, hint)
    for name in streams:
        _check_stream(name, bookmarks.get(name, {}))


def _refuse_other_forms(state: Mapping[str, Any], streams: Collection[str]) -> None:
    if state.get("type") == "STATE":
        reason, what = "it is a whole STATE message", "value"
    elif "singer_state" in state:
        reason, what = "it is a Meltano state file", "singer_state"
    elif "completed" in state or "partial" in state:
        reason, what = "it is a Meltano state", "singer_state` under `completed"
    elif any(name in state for name in streams):
        reason = "it has a stream outside of `bookmarks`, which is an old form of Singer states"
        raise UnreadableStateError(reason)
    else:
        return
    raise UnreadableStateError(reason, f"give the tap the value of `{what}`")


def _check_stream(name: str, stream_state: Any) -> None:
    partitions = stream_state.get("partitions", []) if isinstance(stream_state, dict) else None
    if not isinstance(partitions, list):
        reason = f"the bookmarks of the stream '{name}' are not in a list `partitions`"
        raise UnreadableStateError(reason)
    of_no_bot = {key for key, value in stream_state.items() if value is not None} - {"partitions"}
    if of_no_bot - WRITTEN or "replication_key_value" in of_no_bot:
        reason = f"the stream '{name}' has a bookmark that names no bot"
        remedy = 'give each bot a bookmark: {"partitions": [{"context": {"bot_name": …}, "replication_key_value": …}]}'
        raise UnreadableStateError(reason, remedy)
    contexts: list[Any] = []
    for partition in partitions:
        context = partition.get("context") if isinstance(partition, dict) else None
        if not isinstance(context, dict) or context.keys() != {"bot_name"}:
            reason = f"the stream '{name}' has a partition whose `context` is not of the form {{\"bot_name\": …}}"
            raise UnreadableStateError(reason)
        if context in contexts:
            reason = f"the stream '{name}' has two partitions for the bot '{context['bot_name']}'"
            raise UnreadableStateError(reason)
        contexts.append(context)
        _check_partition(f"the stream '{name}' for the bot '{context['bot_name']}'", partition)


def _check_partition(where: str, partition: Mapping[str, Any]) -> None:
    try:
        bookmark = read_bookmark(partition.get("replication_key_value"))
    except ValueError:
        reason = f"the bookmark of {where} is not a time from 1970 on in ISO 8601"
        raise UnreadableStateError(reason) from None
    if unknown := [key for key in partition if key not in WRITTEN and bookmark is None]:
        reason = f"{where} has {_quoted(unknown)} instead of `replication_key_value`"
        raise UnreadableStateError(reason)


def _quoted(names: Collection[Any]) -> str:
    return ", ".join(f"'{name}'" for name in names)
