"""Parses and formats times. The API documents only `startTime`, in Unix seconds, so all common formats are parsed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_DIGITS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
LATEST_SECONDS = 100_000_000_000  # the year 5138: a larger number is in a finer unit
_UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_SIXTY = [f"{number:02d}" for number in range(60)]


def parse_time(value: object) -> datetime:
    """Parse a time in any common format, as an aware datetime in UTC.

    The formats are: Unix time in seconds, milliseconds, microseconds or nanoseconds (the size shows which), as a
    number or as text, with or without a fraction; ISO 8601, where a missing offset means UTC; and both in a document
    database's form, `{"$date": …}` (milliseconds) or `{"$numberLong": "…"}`. Digits below a microsecond are cut off.

    Raises:
        ValueError: If the value is not a time. The message does not hold the value.

    Examples:
        >>> parse_time(1744750665)
        datetime.datetime(2025, 4, 15, 20, 57, 45, tzinfo=datetime.timezone.utc)
        >>> parse_time("2025-04-15T22:57:45.5+02:00") == parse_time("1744750665500")
        True
    """
    try:
        if type(value) is int and 0 <= value < LATEST_SECONDS:
            return datetime.fromtimestamp(value, UTC)  # the documented form, by the fastest way
        if isinstance(value, dict):
            return _from_extended_json(value)
        if isinstance(value, str):
            text = value.strip().upper()
            return _from_unix(Decimal(text)) if _UNIX_DIGITS.fullmatch(text) else parse_iso(text)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return _from_unix(Decimal(str(value)))
    except (ArithmeticError, ValueError):
        pass
    msg = f"not a time, but a {type(value).__name__} that cannot be read as one"
    raise ValueError(msg)


def format_time(moment: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC: 2025-04-15T20:57:45.000000+00:00.

    The width is fixed, so that text sorts by time: the SDK compares bookmarks as strings.
    """
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def _from_unix(number: Decimal) -> datetime:
    for units_per_second in _UNITS_PER_SECOND:
        if abs(number) < LATEST_SECONDS * units_per_second:
            microseconds = number * 1_000_000 / units_per_second
            return _EPOCH + timedelta(microseconds=int(microseconds.to_integral_value(ROUND_FLOOR)))
    raise ValueError  # beyond every unit


def _from_extended_json(value: dict[str, object]) -> datetime:
    ((key, inner),) = value.items()
    if key == "$date":
        if isinstance(inner, dict):
            (inner,) = inner.values()
        is_iso = isinstance(inner, str) and not _UNIX_DIGITS.fullmatch(inner.strip())
        return parse_time(inner) if is_iso else _EPOCH + timedelta(milliseconds=float(str(inner)))
    if key.startswith("$number") and not isinstance(inner, dict):
        return parse_time(inner)
    raise ValueError


def parse_iso(text: str) -> datetime:
    """Parse ISO 8601, where a missing offset means UTC; raise ValueError or OverflowError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_seconds(seconds: int) -> str:
    """Return whole Unix seconds as `format_time` does, but faster: many records share the same hours."""
    hour, rest = divmod(seconds, 3600)
    return f"{_hour(hour)}{_SIXTY[rest // 60]}:{_SIXTY[rest % 60]}.000000+00:00"


@lru_cache(maxsize=1 << 14)
def _hour(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600, UTC).isoformat()[:14]
