"""Checks `stream_maps` (the SDK ignores unknown names: data would stay unmasked); names a record that failed."""

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
"""Values that remove a stream or a field."""
IN_ADDITIONAL_FIELDS = (
    "is not a field of it: undocumented fields are inside `additional_fields`; to remove one, name it in "
    "`exclude_metadata`"
)


def stream_map_problems(stream_maps: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> list[str]:
    """Check the names in stream maps against the `fields` of each stream.

    Returns:
        A sentence for each unknown stream, and for each field to remove that does not exist: its data would stay.
    """
    sentences = []
    for name, definition in stream_maps.items():
        details = definition if isinstance(definition, dict) else {}
        source = str(details.get("__source__", name))
        streams = [stream for stream in fields if fnmatchcase(stream, source)]
        if not streams and source != "__else__":
            sentences.append(f"`stream_maps` names '{source}', but the streams are {' and '.join(fields)}.")
        for stream in streams:
            spelt = {field.casefold(): field for field in fields[stream]}
            for field, expression in details.items():
                if expression not in REMOVED or field in fields[stream] or field.startswith("__"):
                    continue
                known = spelt.get(field.casefold())
                if not known and any(field in fields[other] for other in streams):
                    continue  # the pattern matches another stream that has it
                what = f"is spelled '{known}'" if known else IN_ADDITIONAL_FIELDS
                sentences.append(f"`stream_maps` removes '{field}' from '{stream}', which {what}.")
    return sentences


class ExplainedMap(StreamMap):
    """A stream map whose error names the record, but quotes nothing from it."""

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
                f"Bot '{bot_name}', stream '{self._stream}': `stream_maps` fails for {name_of_record(identity)} "
                f"({what}); check `stream_maps`, and that `stream_map_config` has all values that it uses."
            )
            raise FatalSyncError(msg) from None

    @override
    def get_filter_result(self, record: dict[str, Any]) -> bool:
        return self._map.get_filter_result(record)


def explained_maps(maps: list[StreamMap], stream: str, stream_maps: object) -> list[StreamMap]:
    """Wrap the stream maps that may fail: those that the setting `stream_maps` defines."""
    return [
        each if isinstance(each, DefaultStreamMap | ExplainedMap) else ExplainedMap(each, stream, stream_maps)
        for each in maps
    ]


def explain_failure(error: Exception, stream_maps: object) -> str:
    """Return why an expression failed, without the error's own message: that may quote the record.

    Returns:
        The expression, if the SDK names it; otherwise the kind of error, with the missing key if `stream_maps` has it.
    """
    if isinstance(error, MapExpressionError):
        return str(error).rstrip(".")
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    is_in_expression = isinstance(key, str) and f"'{key}'" in json.dumps(stream_maps)
    return f"KeyError: '{key}'" if is_in_expression else type(error).__name__
