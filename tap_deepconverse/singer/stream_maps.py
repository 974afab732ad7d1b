"""Checks `stream_maps`, whose unknown names the SDK ignores (data goes unmasked), and names the record that failed."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalSyncError, MapExpressionError
from singer_sdk.mapper import DefaultStreamMap, StreamMap
from typing_extensions import override

from tap_deepconverse.records.warnings import name_of_record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REMOVED = (None, "__NULL__")
"""Values that leave out a stream or a field."""
IN_ADDITIONAL_FIELDS = (
    "is no field of it: what the API sends beside the documented fields is in `additional_fields`; to leave out a part "
    "of that, name it in `exclude_metadata`"
)


def stream_map_problems(stream_maps: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> list[str]:
    """Check the names in stream maps against the `fields` of each stream.

    Returns:
        A sentence for each unknown stream, and for each left-out field that is none, and so would leave all the same.
    """
    sentences = []
    for name, definition in stream_maps.items():
        details = definition if isinstance(definition, dict) else {}
        source = str(details.get("__source__", name))
        streams = [stream for stream in fields if fnmatchcase(stream, source)]
        if not streams and source != "__else__":
            sentences.append(f"`stream_maps` names '{source}', which is no stream: they are {' and '.join(fields)}.")
        for stream in streams:
            spelt = {field.casefold(): field for field in fields[stream]}
            for field, expression in details.items():
                if expression not in REMOVED or field in fields[stream] or field.startswith("__"):
                    continue
                known = spelt.get(field.casefold())
                if not known and any(field in fields[other] for other in streams):
                    continue  # a pattern names streams of which one has it
                what = f"is spelt '{known}'" if known else IN_ADDITIONAL_FIELDS
                sentences.append(f"`stream_maps` leaves out '{field}' of '{stream}', which {what}.")
    return sentences


class ExplainedMap(StreamMap):
    """A stream map that says which record it failed at, and nothing of what that holds."""

    def __init__(self, stream_map: StreamMap, stream: str, stream_maps: object) -> None:
        vars(self).update(vars(stream_map))
        self._map, self._stream, self._stream_maps = stream_map, stream, stream_maps

    @override
    def transform(self, record: dict[str, Any]) -> dict[str, Any] | None:
        bot_name, identity = record.get("bot_name"), record.get("_id")
        try:
            return self._map.transform(record)
        except Exception as error:  # noqa: BLE001  an expression may fail in any way
            what = explain_failure(error, self._stream_maps)
            msg = (
                f"Bot '{bot_name}', stream '{self._stream}': {name_of_record(identity)} cannot be transformed as "
                f"`stream_maps` says ({what}); check `stream_maps`, and that `stream_map_config` has what it uses."
            )
            raise FatalSyncError(msg) from None

    @override
    def get_filter_result(self, record: dict[str, Any]) -> bool:
        return self._map.get_filter_result(record)


def explained_maps(maps: list[StreamMap], stream: str, stream_maps: object) -> list[StreamMap]:
    """Wrap those of a stream's maps that may fail: those that the setting `stream_maps` defines."""
    return [
        each if isinstance(each, DefaultStreamMap | ExplainedMap) else ExplainedMap(each, stream, stream_maps)
        for each in maps
    ]


def explain_failure(error: Exception, stream_maps: object) -> str:
    """Say why an expression failed, without the error's own message: that may quote the record.

    Returns:
        The expression, where the SDK names it; else the kind of error, with a missing key only if `stream_maps` has it.
    """
    if isinstance(error, MapExpressionError):
        return str(error).rstrip(".")
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    is_in_expression = isinstance(key, str) and f"'{key}'" in json.dumps(stream_maps)
    return f"KeyError: '{key}'" if is_in_expression else type(error).__name__
