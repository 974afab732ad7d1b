"""Whatever the Export API calls a time, as an aware UTC datetime, and back to text.

The API publishes ``startTime`` in Unix seconds and says nothing of its other times, so every
common way to write one is read here. Nothing in this module knows of HTTP or of Singer.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_DIGITS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")

_LATEST_SECONDS = 100_000_000_000
"""A number from here on (the year 5138 in seconds) is meant in a finer unit than seconds."""

_UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)


def parse_time(value: object) -> datetime:
    """Read a time, however it is written.

    Understood are Unix times in seconds, milliseconds, microseconds or nanoseconds (told apart by
    their size), as a number or as digits in a string, with or without a fraction, and ISO 8601,
    where a missing offset means UTC. What is finer than a microsecond is cut off.

    Args:
        value: The time as it stands in the API's JSON.

    Returns:
        The same moment as an aware datetime in UTC.

    Raises:
        ValueError: If the value is not a time. The message does not repeat the value.

    Examples:
        >>> parse_time(1744750665)
        datetime.datetime(2025, 4, 15, 20, 57, 45, tzinfo=datetime.timezone.utc)
        >>> parse_time("2025-04-15T22:57:45.5+02:00") == parse_time("1744750665500")
        True
    """
    try:
        if type(value) is int and 0 <= value < _LATEST_SECONDS:
            return datetime.fromtimestamp(value, UTC)  # the published form, and by far the fastest way to read it
        if isinstance(value, str):
            text = value.strip().upper()
            return _from_unix(Decimal(text)) if _UNIX_DIGITS.fullmatch(text) else _from_iso(text)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return _from_unix(Decimal(str(value)))
    except (ArithmeticError, ValueError):
        pass
    msg = f"not a time, but a {type(value).__name__} that cannot be read as one"
    raise ValueError(msg)


def format_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, always with six digits of fraction.

    One width for all, so that texts sort as the moments do: the SDK compares bookmarks as strings.

    Args:
        moment: An aware datetime, in any time zone.

    Returns:
        For example ``2025-04-15T20:57:45.000000+00:00``.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _from_unix(number: Decimal) -> datetime:
    for units_per_second in _UNITS_PER_SECOND:
        if abs(number) < _LATEST_SECONDS * units_per_second:
            microseconds = number * 1_000_000 / units_per_second
            return _EPOCH + timedelta(microseconds=int(microseconds.to_integral_value(ROUND_FLOOR)))
    msg = "beyond every unit"
    raise ValueError(msg)


def _from_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
