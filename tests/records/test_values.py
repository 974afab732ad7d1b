from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.values import ID, TYPES, converter_for, format_time, parse_time
from tap_deepconverse.streams import STREAMS, Conversations

MOMENT = datetime(2025, 4, 15, 20, 57, 45, tzinfo=UTC)
TIME = {"type": "string", "format": "date-time"}
HALF = MOMENT + timedelta(milliseconds=500)

moments = st.datetimes(datetime(1974, 1, 1), datetime(5000, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("moment", "ways"),
    [
        (MOMENT, [1744750665, "1744750665", "20250415T205745Z", "20250415205745"]),
        (MOMENT, [{"$date": 1744750665000}, {"$date": {"$numberLong": "1744750665000"}}]),
        (MOMENT, [{"$date": "2025-04-15T20:57:45Z"}, {"$numberLong": "1744750665"}, {"$numberDouble": "1744750665.0"}]),
        (HALF, [1744750665.5, Decimal("1744750665.500000999"), 1744750665500, 1744750665500000000, " 1744750665.5 "]),
        (HALF, ["2025-04-15t20:57:45.500z", "2025-04-15T22:57:45.5+02:00", "2025-04-15T20:57:45.500000999Z"]),
        (datetime(2024, 2, 29, tzinfo=UTC), ["2024-02-29", "20240229", date(2024, 2, 29)]),
        (datetime(1970, 1, 1, tzinfo=UTC), [0, {"$date": 0}]),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), [-1]),
    ],
)
def test_every_way_to_write_a_time_is_read(moment: datetime, ways: list[object]) -> None:
    assert [parse_time(written) for written in ways] == [moment] * len(ways)


@pytest.mark.parametrize(
    "written",
    [
        None, True, "", "soon", "NaN", "1e9", "1_000", "٣", [], {}, [1744750665], float("nan"), float("inf"),
        Decimal("Infinity"), 10**30, "9" * 5000, Decimal("1e999999"), "2025-02-29", "2025-13-01", "20250229",
        "0001-01-01T00:00:00+14:00", "2025-04-15T20:57:60Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_without_being_repeated(written: object) -> None:
    with pytest.raises(ValueError, match="cannot be read as one") as refusal:
        parse_time(written)
    assert str(refusal.value) == f"not a time, but a {type(written).__name__} that cannot be read as one"


@given(moments, st.sampled_from([1, 1_000, 1_000_000]), st.booleans())
def test_a_unix_time_is_read_in_any_unit(moment: datetime, units_per_second: int, as_text: bool) -> None:  # noqa: FBT001
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = Decimal(microseconds) * units_per_second / 1_000_000
    assert parse_time(f"{number:f}" if as_text else number) == moment


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_one_format_whatever_the_offset(moment: datetime, minutes: int) -> None:
    assert format_time(moment.astimezone(timezone(timedelta(minutes=minutes)))) == format_time(moment)
    assert len(format_time(moment)) == len("2025-04-15T20:57:45.000000+00:00")
    assert parse_time(format_time(moment)) == moment


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def converted(value: Any, **schema: Any) -> tuple[Any, bool]:
    """A value as a column has it, and whether all of it could be converted."""
    faults: list[str] = []
    return converter_for(schema)(value, faults), not faults


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, {"text": "Grüße 😀"}, '{"text":"Grüße 😀"}'),
        ({"type": ["null", "string"]}, 7, "7"),
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, 7.0, 7),
        ({"type": "integer"}, {"$numberLong": "7"}, 7),
        ({"type": "integer"}, 7.5, ValueError),
        ({"type": "integer"}, True, ValueError),
        ({"type": "integer"}, "seven", ValueError),
        ({"type": "integer"}, "1e999999999", ValueError),
        ({"type": "number"}, "7.5", Decimal("7.5")),
        ({"type": "number"}, "NaN", ValueError),
        ({"type": "number"}, [7], ValueError),
        ({"type": "boolean"}, True, True),
        ({"type": "boolean"}, "false", False),
        ({"type": "boolean"}, 1, True),
        ({"type": "boolean"}, "yes", ValueError),
        ({"type": "object"}, "text", {"value": "text"}),
        ({"type": "object"}, False, {"value": False}),
        ({"type": "object"}, {"a": False}, {"a": False}),
        ({"type": "array"}, "text", ["text"]),
        ({"type": ["integer", "string"]}, 7, 7),
        ({"type": ["integer", "string"]}, "7", "7"),
        ({"type": ["integer", "string"]}, {"a": 1}, '{"a":1}'),
        ({"type": ["integer", "boolean"]}, "seven", ValueError),
        ({"type": ["integer", "boolean"]}, True, True),
        ({"type": []}, {"a": 1}, {"a": 1}),
        (TIME, 1744750665, "2025-04-15T20:57:45.000000+00:00"),
        ({"type": "string", "format": "date"}, "1744750665000", "2025-04-15"),
        (TIME, -1, "1969-12-31T23:59:59.000000+00:00"),
        (TIME, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"),  # not known, perhaps
        (TIME, -62_135_596_800_000, "0001-01-01T00:00:00.000000+00:00"),
        (TIME, 99_999_999_999, "5138-11-16T09:46:39.000000+00:00"),
        (TIME, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000+00:00"),
        ({"type": "string", "format": "uuid"}, 7, "7"),
        ({"type": "string", "format": ID}, 7, "7"),
        ({"type": "string", "format": ID}, {"$oid": "67fe"}, "67fe"),
        ({"type": "string", "format": ID}, {"$uuid": "67fe"}, "67fe"),
        ({"type": "string", "format": ID}, {"$numberLong": "7"}, "7"),
        ({"type": "string", "format": ID}, {"$oid": "67fe", "x": 1}, '{"$oid":"67fe","x":1}'),
        ({"type": "array", "items": {"type": "string"}}, ["resolved", None, 7], ["resolved", None, "7"]),
        ({"type": "array", "items": {"type": "string"}}, "resolved", ["resolved"]),
        ({"type": "array", "items": {"type": "integer"}}, ["7", None], [7, None]),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": "7", "x": 1}, {"n": 7, "x": 1}),
        ({"type": "object", "properties": {"n": {}}, "additionalProperties": False}, {"n": 1, "x": 1}, {"n": 1}),
        ({"anyOf": [{"type": "string"}]}, 7, 7),
    ],
)
def test_a_value_is_converted_to_the_type_of_its_column_or_null(schema: Any, value: Any, expected: Any) -> None:
    got, is_whole = converted(value, **schema)
    assert is_whole == (expected is not ValueError)
    assert got == (expected if is_whole else None)
    assert not is_whole or type(got) is type(expected)


@given(anything, st.sampled_from(["string", "integer", "number", "boolean", "object", "array"]))
def test_whatever_comes_is_converted_or_refused(value: Any, kind: str) -> None:
    got, is_whole = converted(value, type=kind)
    assert isinstance(got, TYPES[kind]) or (got is None and (value is None or not is_whole))


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_has_a_description_and_no_other_leaves(stream: type[Conversations]) -> None:
    assert all(each["description"].endswith(".") for each in stream.schema["properties"].values())
    assert stream.schema["additionalProperties"] is False
