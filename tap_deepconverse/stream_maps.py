"""Whether `stream_maps` can do what it is meant to: the SDK passes by what it names in vain, and data goes unmasked."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import MapExpressionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REMOVED = (None, "__NULL__")
"""What stands for a stream or a field that is to be left out."""


def stream_map_problems(stream_maps: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> list[str]:
    """Say what stream maps name in vain.

    Args:
        stream_maps: The setting's value.
        fields: The fields of each stream, by its name.

    Returns:
        One sentence for each name that is no stream's, and for each field to be left out that is spelt
        another way. A field that is not known may be one that the API's documentation does not name.
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
            sentences += [
                f"`stream_maps` leaves out '{field}' of '{stream}', which is spelt '{spelt[field.casefold()]}'."
                for field, expression in details.items()
                if expression in REMOVED and field not in fields[stream] and field.casefold() in spelt
            ]
    return sentences


def explain_failure(error: Exception, stream_maps: object) -> str:
    """Say why an expression has failed, and nothing of the record that it failed at.

    Args:
        error: What the evaluation raised. Its own words may hold what the record holds.
        stream_maps: The setting's value.

    Returns:
        The expression, where the SDK names it; or the kind of error, with the key that was not found if the
        expressions themselves hold it.
    """
    if isinstance(error, MapExpressionError):
        return str(error).rstrip(".")
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    is_in_expression = isinstance(key, str) and f"'{key}'" in json.dumps(stream_maps)
    return f"KeyError: '{key}'" if is_in_expression else type(error).__name__
