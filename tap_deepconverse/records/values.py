"""Converts values to the type of their column, without loss. Pure.

The API documents few types, and no form of its times but Unix seconds. A target rejects or damages a value that does
not fit its column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from singer_sdk.singerlib.json import serialize_json

Converter = Callable[[Any, list[str]], Any]
Type = TypeVar("Type")

NOT_THE_TYPE = "not of the type of its column"

MOST_DIGITS = 300
"""Largest number of digits before the point, for a column of numbers."""

EXTENDED_JSON = {"$oid", "$uuid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"}
"""Keys under which a document database writes an id, a time or a number. That the API may send these is inferred."""
LATEST_SECONDS = 100_000_000_000
"""The year 5138: a larger number is in a finer unit."""
_UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_SIXTY = [f"{number:02d}" for number in range(60)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_digits = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


# --- Times ---


def parse_time(value: object) -> datetime:
    """Parse a time in any common format, as an aware datetime in UTC.

    The formats are: Unix time in seconds, milliseconds, microseconds or nanoseconds (the size shows which), as a
    number or as text, with or without a fraction; ISO 8601, where a missing offset means UTC; and both in a document
    database's form, `{"$date": …}` (milliseconds) or `{"$numberLong": "…"}`. Digits below a microsecond are cut off.

    Raises:
        ValueError: If the value is not a time. The message does not hold the value.
    """
    plain = unwrapped(value)
    is_milliseconds = isinstance(value, dict) and "$date" in value
    try:
        if isinstance(plain, str):
            text = plain.strip().upper()
            if not _digits.fullmatch(text):
                return parse_iso(text)
            return _from_unix(Decimal(text), is_milliseconds=is_milliseconds)
        if isinstance(plain, int | float | Decimal) and not isinstance(plain, bool):
            return _from_unix(Decimal(str(plain)), is_milliseconds=is_milliseconds)
    except (ArithmeticError, ValueError):
        pass
    msg = f"not a time, but a {type(value).__name__} that cannot be read as one"
    raise ValueError(msg)


def _from_unix(number: Decimal, *, is_milliseconds: bool) -> datetime:
    fitting = [units for units in _UNITS_PER_SECOND if abs(number) < LATEST_SECONDS * units]
    units_per_second = 1_000 if is_milliseconds else fitting[0] if fitting else 1
    microseconds = number * 1_000_000 / units_per_second
    return _EPOCH + timedelta(microseconds=int(microseconds.to_integral_value(ROUND_FLOOR)))


def parse_iso(text: str) -> datetime:
    """Parse ISO 8601, where a missing offset means UTC; raise ValueError or OverflowError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC: 2025-04-15T20:57:45.000000+00:00.

    The width is fixed, so that text sorts by time: the SDK compares bookmarks as strings.
    """
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def format_seconds(seconds: int) -> str:
    """Return whole Unix seconds as `format_time` does, but faster: many records share the same hours."""
    hour, rest = divmod(seconds, 3600)
    return f"{_hour(hour)}{_SIXTY[rest // 60]}:{_SIXTY[rest % 60]}.000000+00:00"


@lru_cache(maxsize=1 << 14)
def _hour(hour: int) -> str:
    return (_EPOCH + timedelta(hours=hour)).isoformat()[:14]


# --- Columns ---


def unwrapped(value: Any) -> Any:
    """Unwrap an id, a number or a time from a document database's form: `{"$oid": "…"}`."""
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
    """Return a time as RFC 3339 in UTC; raise ValueError."""
    if type(value) is int and 0 <= value < LATEST_SECONDS:  # the documented form, by the fastest way
        return format_seconds(value)
    return format_time(parse_time(value))


def as_object(value: Any) -> dict[str, Any]:
    """Return an object unchanged; put anything else under the key `value`."""
    return value if isinstance(value, dict) else {"value": value}


def as_number(value: Any) -> int | Decimal:
    """Return a number, also from text; raise ValueError."""
    number = _lax(unwrapped(value), Decimal)
    if not number.is_finite() or number.adjusted() > MOST_DIGITS:
        raise ValueError(NOT_THE_TYPE)
    return int(number) if number == number.to_integral_value() else number


def _lax(value: Any, kind: type[Type]) -> Type:
    """Return a value as another type if that loses nothing, such as 7 for "7"; raise ValueError."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError(NOT_THE_TYPE) from None


BY_FORMAT: dict[str, Callable[[Any], Any]] = {
    "date-time": as_time,
    "date": lambda value: as_time(value)[: len("2026-01-01")],
}
BY_TYPE: dict[str, tuple[Callable[[Any], Any], type | tuple[type, ...]]] = {
    "object": (as_object, dict),
    "array": (lambda value: value if isinstance(value, list) else [value], list),
    "boolean": (lambda value: _lax(value, bool), bool),
    "integer": (lambda value: _lax(as_number(value), int), int),
    "number": (as_number, (int, float, Decimal)),
    "string": (as_text, str),
}
"""For each type of JSON Schema: what converts to it, and the Python types that are of it."""


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a property of a JSON schema without null; none if it names none."""
    types = schema.get("type") or []
    return [each for each in ([types] if isinstance(types, str) else types) if each != "null"]


def converter_for(schema: Mapping[str, Any]) -> Converter:
    """Return what converts values to a property of a JSON schema, of several types to the first that fits.

    Returns:
        A function of a value and a list of faults. What cannot be converted becomes null, of a list or an object only
        that part, and the list gets the reason.
    """
    kinds = types_of(schema)
    if not kinds:  # such as `anyOf`: the author of the schema accepts any value
        return or_null(lambda value: value)
    if len(kinds) == 1:
        return _converter_for_type(kinds[0], schema)
    by_kind = [(BY_TYPE[kind][1], _converter_for_type(kind, schema)) for kind in kinds]

    def convert_to_first_that_fits(value: Any, faults: list[str]) -> Any:
        for _, convert in sorted(by_kind, key=lambda each: not isinstance(value, each[0])):
            found: list[str] = []
            converted = convert(value, found)
            if not found:
                return converted
        faults.append(NOT_THE_TYPE)
        return None

    return convert_to_first_that_fits


def _converter_for_type(kind: str, schema: Mapping[str, Any]) -> Converter:
    to_kind = BY_TYPE[kind][0]
    items = schema.get("items")
    inner = {name: converter_for(each) for name, each in schema.get("properties", {}).items()}
    if kind == "array" and isinstance(items, dict):
        convert = converter_for(items)
        return lambda value, faults: None if value is None else [convert(each, faults) for each in to_kind(value)]
    if kind == "object" and inner:
        other = None if schema.get("additionalProperties", True) is False else or_null(lambda value: value)
        return lambda value, faults: (
            None
            if value is None
            else {
                name: convert(each, faults)
                for name, each in to_kind(value).items()
                if (convert := inner.get(name, other))
            }
        )
    return or_null(BY_FORMAT.get(schema.get("format", ""), to_kind) if kind == "string" else to_kind)


def or_null(convert: Callable[[Any], Any]) -> Converter:
    """Return a converter that makes null of what cannot be converted, and adds the reason to the faults."""

    def convert_or_null(value: Any, faults: list[str]) -> Any:
        try:
            return None if value is None else convert(value)
        except ValueError as error:
            faults.append(str(error))
            return None

    return convert_or_null
