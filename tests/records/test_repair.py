from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.repair import (
    deepest_record,
    record_with_number_that_is_none,
    repair,
    without_numbers_that_are_none,
)

values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def bodies(value: Any) -> list[bytes]:
    return [json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "replace") for is_ascii in (False, True)]


@given(values)
def test_what_is_json_stays_as_it_is(value: Any) -> None:
    for body in bodies(value):
        repaired = repair(body)
        if not repaired.has_lost_text:  # half an emoji may have been drawn
            assert repaired.body == body


@given(values)
def test_control_characters_say_the_same_as_escapes(value: Any) -> None:
    """Python reads them where they stand, if it is told to."""
    body = json.dumps({"a\n": ["\t\x00", value]}, ensure_ascii=False).encode("utf-8", "replace")
    as_they_are = body.replace(rb"\n", b"\n", 1).replace(rb"\t\u0000", b"\t\x00", 1)
    assert json.loads(repair(as_they_are).body) == json.loads(as_they_are, strict=False)


@pytest.mark.parametrize("body", [b"", b'"', b'{"a": "', b'{"a": "\\', b"no JSON", b"\xff"])
def test_what_cannot_be_repaired_is_no_json_afterwards_either(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json.loads(repair(body).body)


@pytest.mark.parametrize(
    ("body", "without"),
    [
        (b'{"a": NaN, "b": [-Infinity, Infinity]}', b'{"a": null, "b": [null, null]}'),
        (b'{"a": "NaN", "b\\"": "\\"NaN\\\\"}', b'{"a": "NaN", "b\\"": "\\"NaN\\\\"}'),
    ],
)
def test_null_is_put_for_numbers_that_are_none_and_not_within_text(body: bytes, without: bytes) -> None:
    assert without_numbers_that_are_none(body) == without


@given(st.lists(values), st.data())
def test_the_record_that_holds_nan_is_found(records: list[Any], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(records)))
    records.insert(position, {"_id": "a", "b": [1, {"c": float("nan")}]})
    for body in bodies({"cursor": "NaN, [", "data": records, "x": [1, 2]}):
        assert record_with_number_that_is_none(body) == position + 1


@given(st.lists(st.dictionaries(st.text(), st.text())), st.data())
def test_the_deepest_record_is_found(records: list[Any], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(records)))
    records.insert(position, {"_id": "a", "b": [[[]]]})
    for body in bodies({"data": records, "x": [[1], {}]}):
        assert deepest_record(body) == position + 1


def test_what_is_beside_the_records_is_no_record() -> None:
    assert record_with_number_that_is_none(b'{"took": NaN, "data": [{"_id": "a"}, {}], "a": [1, NaN]}') is None
    assert deepest_record(b'{"data": [{"_id": "a"}, {}], "a": [[[[1]]]]}') is None
