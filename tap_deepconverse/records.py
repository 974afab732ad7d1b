"""What becomes of a record's fields, so that each has the type that its schema promises.

The API documents few types. A target creates a column from the schema and rejects, or worse
mangles, a value of another kind; so a value of an unexpected kind is written in the promised
one, with nothing lost. Nothing in this module knows of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from singer_sdk.singerlib.json import serialize_json

from tap_deepconverse.timestamps import format_time, parse_time

Converter = Callable[[Any], Any]


def as_text(value: Any) -> str:
    """Leave text as it is; write anything else as JSON text."""
    return value if isinstance(value, str) else serialize_json(value, ensure_ascii=False)


def as_time(value: Any) -> str:
    """Write a time as RFC 3339 in UTC; raises ValueError if it cannot be read."""
    return format_time(parse_time(value))


def as_list_of_text(value: Any) -> list[str | None]:
    """Write the items of a list as text; anything else becomes a list's only item."""
    items = value if isinstance(value, list) else [value]
    return [None if item is None else as_text(item) for item in items]


def as_object(value: Any) -> dict[str, Any]:
    """Leave an object as it is; anything else is kept under the key ``value``."""
    return value if isinstance(value, dict) else {"value": value}


def converters(schema: Mapping[str, Any]) -> dict[str, Converter]:
    """Choose how each field of a stream is converted.

    Args:
        schema: The stream's JSON schema. Its properties are text, times, lists of text or objects.

    Returns:
        The converter of each property, by its name. None of them is meant for null.

    Raises:
        KeyError: If the schema holds a property of another type.
    """
    by_type: dict[str, Converter] = {"string": as_text, "array": as_list_of_text, "object": as_object}
    return {
        name: as_time if schema.get("format") == "date-time" else by_type[schema["type"][0]]
        for name, schema in schema["properties"].items()
    }
