"""Converts values to the type of their column, without loss: a target rejects or damages a value that does not fit."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from singer_sdk.singerlib.json import serialize_json

Converter = Callable[[Any, list[str]], Any]

NOT_THE_TYPE = "not of the type of its column"
MOST_DIGITS = 300  # before the point, for a column of numbers
ID = "id"
"""Format of a column of ids, beside those of JSON Schema."""

EXTENDED_JSON = {"$oid", "$uuid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"}
"""Keys under which a document database writes an id, a time or a number."""
LATEST_SECONDS = 100_000_000_000
"""The year 5138: a larger number is in a finer unit."""
_UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIXTY = [f"{number:02d}" for number in range(60)]
# 20260131, 20260131235959: as Unix times, these would lie in 1970 or after 2570.
_compact = re.compile(
    "((?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))((?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9])?"
)
_digits = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def parse_time(value: object) -> datetime:
    """Parse a time as an aware datetime in UTC: ISO 8601, or Unix time in seconds or a smaller unit, also as text.

    A document database's form is understood: `{"$date": …}` (milliseconds), `{"$numberLong": …}`.

    Raises:
        ValueError: If the value is not a time. The message does not hold the value.
    """
    plain = unwrapped(value)
    if isinstance(plain, date):  # which a stream map makes
        moment = plain if isinstance(plain, datetime) else datetime(plain.year, plain.month, plain.day, tzinfo=UTC)
        return moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        text = plain.strip() if isinstance(plain, str) else ""
        if compact := _compact.fullmatch(text):
            text = f"{compact[1]}T{compact[2] or '00'}"
        if text and not _digits.fullmatch(text):
            return parse_iso(text.upper()).astimezone(UTC)
        if isinstance(plain, str | int | float | Decimal):
            number = Decimal(str(plain))
            units = next((units for units in _UNITS_PER_SECOND if abs(number) < LATEST_SECONDS * units), 1)
            if isinstance(value, dict) and "$date" in value:
                units = 1_000
            return EPOCH + timedelta(microseconds=int(number * 1_000_000 // units))
    except (ArithmeticError, ValueError):
        pass
    msg = f"not a time, but a {type(value).__name__} that cannot be read as one"
    raise ValueError(msg)


def parse_iso(text: str) -> datetime:
    """Parse ISO 8601; a missing offset means UTC. Raise ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """Return an aware datetime in UTC with a fixed width, as the SDK compares bookmarks as strings."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def format_seconds(seconds: int) -> str:
    """Return whole Unix seconds as `format_time` does, but faster: many records share the same hours."""
    return f"{_hour(seconds // 3600)}{_SIXTY[seconds // 60 % 60]}:{_SIXTY[seconds % 60]}.000000+00:00"


@lru_cache(maxsize=1 << 14)
def _hour(hour: int) -> str:
    return (EPOCH + timedelta(hours=hour)).isoformat()[:14]


def unwrapped(value: Any) -> Any:
    """Unwrap an id, a number or a time from a document database's form: `{"$oid": "…"}`."""
    while isinstance(value, dict) and len(value) == 1 and value.keys() <= EXTENDED_JSON:
        (value,) = value.values()
    return value


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a property of a JSON schema without null; none if it names none."""
    types = schema.get("type") or []
    return [each for each in ([types] if isinstance(types, str) else types) if each != "null"]


def converter_for(schema: Mapping[str, Any]) -> Converter:
    """Return what converts values to a property of a JSON schema: a function of a value and a list of faults.

    Of several types, a value gets the one that it has, else text, else the first. What cannot be converted becomes
    null, of a list or an object only that part, and the list of faults gets the reason.
    """
    types = types_of(schema)
    ways = [(TYPES[kind], make(schema)) for kind, make in CONVERTERS.items() if kind in types]
    if not ways:  # such as `anyOf`: the author of the schema accepts any value
        return lambda value, _: value
    first = ways[0][1]

    def convert(value: Any, faults: list[str]) -> Any:
        if value is None:
            return None
        way = first if len(ways) == 1 else next((way for kind, way in ways if isinstance(value, kind)), first)
        try:
            return way(value, faults)
        except (msgspec.ValidationError, ValueError) as error:
            faults.append(NOT_THE_TYPE if isinstance(error, msgspec.ValidationError) else str(error))
            return None

    return convert


def _to_list(schema: Mapping[str, Any]) -> Converter:
    items = schema.get("items")
    item = converter_for(items if isinstance(items, dict) else {})
    return lambda value, faults: [item(each, faults) for each in (value if isinstance(value, list) else [value])]


def _to_object(schema: Mapping[str, Any]) -> Converter:
    inner = {name: converter_for(each) for name, each in schema.get("properties", {}).items()}
    is_closed = bool(inner) and schema.get("additionalProperties") is False

    def convert_parts(value: Any, faults: list[str]) -> Any:
        parts = value if isinstance(value, dict) else {"value": value}
        kept = {name: part for name, part in parts.items() if name in inner} if is_closed else parts
        return kept | {name: convert(kept[name], faults) for name, convert in inner.items() if name in kept}

    return convert_parts


def _as_text(value: Any, *_: object) -> str:
    return value if isinstance(value, str) else serialize_json(value, ensure_ascii=False)


def _as_id(value: Any, *_: object) -> str | None:
    identity = unwrapped(value)
    return None if identity is None else _as_text(identity)


def _as_time(value: Any, *_: object) -> str:
    if type(value) is int and 0 <= value < LATEST_SECONDS:  # the documented form, by the fastest way
        return format_seconds(value)
    return format_time(parse_time(value))


def _as_number(value: Any, *_: object) -> int | Decimal:
    number = msgspec.convert(unwrapped(value), Decimal, strict=False)
    if not number.is_finite() or number.adjusted() > MOST_DIGITS:
        raise ValueError(NOT_THE_TYPE)
    return int(number) if number == number.to_integral_value() else number


TYPES = {"string": str, "boolean": bool, "integer": int, "number": int | float | Decimal, "array": list, "object": dict}
"""The Python types of each type of JSON Schema."""
FORMATS: dict[str, Converter] = {
    ID: _as_id,
    "date-time": _as_time,
    "date": lambda value, _: _as_time(value)[: len("2026-01-01")],
}
CONVERTERS: dict[str, Callable[[Mapping[str, Any]], Converter]] = {
    "string": lambda schema: FORMATS.get(schema.get("format", ""), _as_text),
    "boolean": lambda _: lambda value, _: msgspec.convert(value, bool, strict=False),
    "integer": lambda _: lambda value, _: msgspec.convert(_as_number(value), int),
    "number": lambda _: _as_number,
    "array": _to_list,
    "object": _to_object,
}
"""What makes a converter to a type. Text first: a value that is of no type becomes text where it may."""
