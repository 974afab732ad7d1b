"""Converts values to the type of their column, without loss. Pure; no converter takes null.

The API documents few types. A target rejects or damages a value that does not fit its column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from singer_sdk.singerlib.json import serialize_json

from tap_deepconverse.records.timestamps import LATEST_SECONDS, format_seconds, format_time, parse_time

Converter = Callable[[Any], Any]
Key = TypeVar("Key", int, str)

MOST_DIGITS = 300
"""Largest number of digits before the point, for a column of numbers."""

EXTENDED_NUMBERS = {"$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"}
"""Keys under which a document database writes a time or a number. That the API may send this form is inferred."""

EXTENDED_JSON = {"$oid", "$uuid"} | EXTENDED_NUMBERS
"""The same, plus those for an id."""

IDS = {"_id", "conversationId"}
"""Columns with an id."""


class PartlyUnreadableError(ValueError):
    """A part of a list or an object could not be converted. In `kept`, null replaces it."""

    def __init__(self, reason: ValueError, kept: Any) -> None:
        super().__init__(*reason.args)
        self.kept = kept


def kept_of(error: ValueError) -> Any:
    """Return what is left of a value that could not be converted, or None."""
    return error.kept if isinstance(error, PartlyUnreadableError) else None


def unwrapped(value: Any) -> Any:
    """Unwrap an id or a number from a document database's form: `{"$oid": "…"}`."""
    while isinstance(value, dict) and len(value) == 1 and value.keys() <= EXTENDED_JSON:
        (value,) = value.values()
    return value


def as_text(value: Any) -> str:
    """Return text unchanged, and anything else as JSON text."""
    return value if isinstance(value, str) else serialize_json(value, ensure_ascii=False)


def as_id(value: Any) -> str | None:
    """Return an id as text."""
    identity = unwrapped(value)
    return None if identity is None else as_text(identity)


def as_time(value: Any) -> str:
    """Return a time as RFC 3339 in UTC; raise ValueError if it cannot be parsed."""
    if type(value) is int and 0 <= value < LATEST_SECONDS:
        return format_seconds(value)
    return format_time(parse_time(value))


def as_date(value: Any) -> str:
    """Return the day of a time, in UTC."""
    return as_time(value)[: len("2026-01-01")]


def as_list_of(convert: Converter) -> Converter:
    """Return a converter for lists that converts each item; anything else becomes a list of one item."""

    def as_list(value: Any) -> list[Any]:
        items = value if isinstance(value, list) else [value]
        try:
            return list(_each({place: (convert, item) for place, item in enumerate(items)}).values())
        except PartlyUnreadableError as error:
            raise PartlyUnreadableError(error, list(error.kept.values())) from None

    return as_list


def as_object(value: Any) -> dict[str, Any]:
    """Return an object unchanged; put anything else under the key `value`."""
    return value if isinstance(value, dict) else {"value": value}


def as_integer(value: Any) -> int:
    """Parse a whole number, written as a number or as text; raise ValueError for anything else."""
    number = as_number(value)
    if number != int(number):
        msg = "not a whole number"
        raise ValueError(msg)
    return int(number)


def as_number(value: Any) -> int | Decimal:
    """Parse a number, written as a number or as text; raise ValueError for anything else."""
    msg = "not a number"
    try:
        number = Decimal(str(unwrapped(value)).strip())  # fails for the text of anything but a number
    except ArithmeticError:
        raise ValueError(msg) from None
    if not number.is_finite() or number.adjusted() > MOST_DIGITS:
        raise ValueError(msg)
    return int(number) if number == number.to_integral_value() else number


def as_boolean(value: Any) -> bool:
    """Parse true or false, also as text, 1 or 0; raise ValueError for anything else."""
    text = str(value).strip().lower()
    if text in {"true", "1"}:
        return True
    if text in {"false", "0"}:
        return False
    msg = "neither true nor false"
    raise ValueError(msg)


BY_TYPE: dict[str, Converter] = {
    "object": as_object,
    "boolean": as_boolean,
    "integer": as_integer,
    "number": as_number,
    "string": as_text,
}
BY_FORMAT: dict[str, Converter] = {"date-time": as_time, "date": as_date}
EXACT: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float, Decimal),
    "string": str,
}


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a property of a JSON schema, which names one, several or none."""
    types = schema.get("type") or []
    return [types] if isinstance(types, str) else list(types)


def converter_for(schema: Mapping[str, Any]) -> Converter:
    """Return the converter for a property of a JSON schema. With several types, the first that fits a value is used."""
    kinds = [kind for kind in types_of(schema) if kind != "null"]
    if not kinds:
        return _as_it_is  # any type, or `anyOf`: the author of such a schema accepts any value
    if len(kinds) == 1:
        return _converter_for_type(kinds[0], schema)
    by_kind = [(EXACT.get(kind, object), _converter_for_type(kind, schema)) for kind in kinds]

    def as_first_that_fits(value: Any) -> Any:
        for _, convert in sorted(by_kind, key=lambda each: not isinstance(value, each[0])):
            try:
                return convert(value)
            except ValueError:
                continue
        msg = "of none of the types in the schema"
        raise ValueError(msg)

    return as_first_that_fits


def _converter_for_type(kind: str, schema: Mapping[str, Any]) -> Converter:
    if kind == "array":
        items = schema.get("items", {})
        return as_list_of(converter_for(items if isinstance(items, dict) else {}))
    if kind == "string" and (of_format := BY_FORMAT.get(schema.get("format", ""))):
        return of_format
    if kind == "object" and schema.get("properties"):
        return _as_object_of(schema)
    return BY_TYPE[kind]


def _as_object_of(schema: Mapping[str, Any]) -> Converter:
    inner = {name: converter_for(each) for name, each in schema["properties"].items()}
    keeps_others = schema.get("additionalProperties", True) is not False

    def as_object_of(value: Any) -> dict[str, Any]:
        fields = {name: each for name, each in as_object(value).items() if keeps_others or name in inner}
        return _each({name: (inner.get(name, _as_it_is), each) for name, each in fields.items()})

    return as_object_of


def _each(items: Mapping[Key, tuple[Converter, Any]]) -> dict[Key, Any]:
    """Convert each value that is not null; a failed one does not stop those after it."""
    converted: dict[Key, Any] = {}
    failure: ValueError | None = None
    for key, (convert, value) in items.items():
        try:
            converted[key] = None if value is None else convert(value)
        except ValueError as error:
            failure = failure or error
            converted[key] = kept_of(error)
    if failure:
        raise PartlyUnreadableError(failure, converted)
    return converted


def _as_it_is(value: Any) -> Any:
    return value
