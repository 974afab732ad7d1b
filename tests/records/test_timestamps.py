from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.readers import read_time
from tap_deepconverse.records.timestamps import format_time, parse_time

MOMENT = datetime(2025, 4, 15, 20, 57, 45, tzinfo=UTC)
HALF = MOMENT + timedelta(milliseconds=500)

moments = st.datetimes(datetime(1974, 1, 1), datetime(5000, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (1744750665, MOMENT),
        (1744750665.5, HALF),
        (Decimal("1744750665.500000999"), HALF),
        (1744750665500, HALF),
        (1744750665500000, HALF),
        (1744750665500000000, HALF),
        ("1744750665", MOMENT),
        (" 1744750665.5 ", HALF),
        ("1744750665500", HALF),
        ("2025-04-15T20:57:45Z", MOMENT),
        ("2025-04-15t20:57:45.500z", HALF),
        ("2025-04-15T22:57:45.5+02:00", HALF),
        ("2025-04-15 20:57:45", MOMENT),
        ("20250415T205745Z", MOMENT),
        ("2025-04-15T20:57:45.500000999Z", HALF),
        ({"$date": 1744750665000}, MOMENT),
        ({"$date": {"$numberLong": "1744750665000"}}, MOMENT),
        ({"$date": "2025-04-15T20:57:45Z"}, MOMENT),
        ({"$date": 0}, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"$date": 86_400_000}, datetime(1970, 1, 2, tzinfo=UTC)),
        ({"$numberLong": "1744750665"}, MOMENT),
        ({"$numberDouble": "1744750665.0"}, MOMENT),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_every_way_to_write_a_time_is_read(written: object, moment: datetime) -> None:
    assert parse_time(written) == moment


@pytest.mark.parametrize(
    "written",
    [
        None, True, "", "soon", "NaN", "1e9", "1_000", "٣", [], {}, [1744750665], float("nan"), float("inf"),
        Decimal("Infinity"), 10**30, "9" * 5000, Decimal("1e999999"), "2025-02-29", "2025-13-01",
        "0001-01-01T00:00:00+14:00", "2025-04-15T20:57:60Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_without_being_repeated(written: object) -> None:
    with pytest.raises(ValueError, match="cannot be read as one") as refusal:
        parse_time(written)
    assert str(refusal.value) == f"not a time, but a {type(written).__name__} that cannot be read as one"


@given(moments)
def test_reading_undoes_writing(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment


@given(moments, st.sampled_from([1, 1_000, 1_000_000]), st.booleans())
def test_a_unix_time_is_read_in_any_unit(moment: datetime, units_per_second: int, as_text: bool) -> None:  # noqa: FBT001
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = Decimal(microseconds) * units_per_second / 1_000_000
    assert parse_time(f"{number:f}" if as_text else number) == moment


@given(moments, moments)
def test_texts_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) == (one < other)


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_one_format_whatever_the_offset(moment: datetime, minutes: int) -> None:
    assert format_time(moment.astimezone(timezone(timedelta(minutes=minutes)))) == format_time(moment)
    assert len(format_time(moment)) == len("2025-04-15T20:57:45.000000+00:00")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists) | st.decimals())
def test_whatever_comes_is_a_time_or_a_value_error(value: Any) -> None:
    read_time(value)
