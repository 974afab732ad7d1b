"""Whether a state given to the tap is one that it can go on from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnreadableStateError(ConfigurationError):
    """The state given to the tap is not of the form that a run writes."""

    def __init__(self, reason: str) -> None:
        """Say what is wrong, and what to do about it.

        Args:
            reason: What is wrong, as a clause.
        """
        super().__init__(
            f"The state cannot be read: {reason}; give the tap the state that its last run wrote, or none at all to "
            "begin again at `start_date`."
        )


def check_state(state: Any) -> None:
    """Make sure that a state can be gone on from, before anything is asked of the API.

    Args:
        state: What `--state` gives. Streams and keys that are not this tap's are let be.

    Raises:
        UnreadableStateError: If it is not of the form of a state, or a bookmark is not a time.
    """
    reason = next(_reasons_against(state), None)
    if reason:
        raise UnreadableStateError(reason)


def _reasons_against(state: Any) -> Iterator[str]:
    if isinstance(state, dict) and state.get("type") == "STATE":
        yield "it is a whole STATE message, of which the tap takes the `value`"
        return
    # An empty state is what a first run is given; anything else without bookmarks would begin again unsaid.
    bookmarks = state.get("bookmarks", None if state else {}) if isinstance(state, dict) else None
    if not isinstance(bookmarks, dict):
        yield "it is not an object with `bookmarks`"
        return
    for stream, stream_state in bookmarks.items():
        partitions = stream_state.get("partitions", []) if isinstance(stream_state, dict) else None
        if not isinstance(partitions, list):
            yield f"the bookmarks of the stream '{stream}' are not in `partitions`"
            return
        contexts = []
        for partition in partitions:
            context = partition.get("context") if isinstance(partition, dict) else None
            if not isinstance(context, dict) or context in contexts:
                yield f"the stream '{stream}' has a partition without a `context` of its own"
                return
            contexts.append(context)
            if not _is_bookmark(partition.get("replication_key_value")):
                yield f"the bookmark of the stream '{stream}' for {context} is no time"


def _is_bookmark(value: Any) -> bool:
    if value is None:
        return True
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
