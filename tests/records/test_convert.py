from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.convert import EXACT, as_id, as_list_of, as_object, as_text, converter_for
from tap_deepconverse.streams import STREAMS, Conversations

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything)
def test_text_stays_and_all_else_is_json_that_reads_the_same(value: Any) -> None:
    assert as_text(value) == value if isinstance(value, str) else json.loads(as_text(value)) == value


def test_json_text_keeps_letters_readable() -> None:
    assert as_text({"text": "Grüße 😀"}) == '{"text":"Grüße 😀"}'


def test_a_list_is_a_list_of_text() -> None:
    as_list_of_text = as_list_of(as_text)
    assert as_list_of_text(["resolved", None, 7, {"a": 1}]) == ["resolved", None, "7", '{"a":1}']
    assert as_list_of_text("resolved") == ["resolved"]


@pytest.mark.parametrize("value", ["text", ["a"], 7, False])
def test_what_is_no_object_is_kept_in_one(value: Any) -> None:
    assert as_object({"a": value}) == {"a": value}
    assert as_object(value) == {"value": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("67fe", "67fe"),
        (7, "7"),
        ({"$oid": "67fe"}, "67fe"),
        ({"$uuid": "67fe"}, "67fe"),
        ({"$numberLong": "7"}, "7"),
        ({"$oid": "67fe", "x": 1}, '{"$oid":"67fe","x":1}'),
        ({"id": "67fe"}, '{"id":"67fe"}'),
    ],
)
def test_an_id_is_read_in_a_document_database_s_form_too(value: Any, text: str) -> None:
    assert as_id(value) == text


@pytest.mark.parametrize(
    ("types", "value", "converted"),
    [
        ("string", {"a": 1}, '{"a":1}'),
        (["null", "string"], 7, "7"),
        ("integer", "7", 7),
        ("integer", 7.0, 7),
        ("integer", {"$numberLong": "7"}, 7),
        ("integer", 7.5, ValueError),
        ("integer", True, ValueError),
        ("integer", "seven", ValueError),
        ("integer", {"a": 1}, ValueError),
        ("integer", "1e999999999", ValueError),
        ("number", "7.5", Decimal("7.5")),
        ("number", "NaN", ValueError),
        ("number", [7], ValueError),
        ("boolean", True, True),
        ("boolean", "false", False),
        ("boolean", 1, True),
        ("boolean", "yes", ValueError),
        ("boolean", {}, ValueError),
        ("object", "text", {"value": "text"}),
        ("array", "text", ["text"]),
        (["integer", "string"], 7, 7),
        (["integer", "string"], "7", "7"),
        (["integer", "string"], {"a": 1}, '{"a":1}'),
        (["integer", "boolean"], "seven", ValueError),
        ([], {"a": 1}, {"a": 1}),
    ],
)
def test_a_value_is_converted_to_the_type_of_its_column(types: Any, value: Any, converted: Any) -> None:
    convert = converter_for({"type": types})
    if converted is ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  the message is the caller's
            convert(value)
    else:
        assert convert(value) == converted
        assert type(convert(value)) is type(converted)


@pytest.mark.parametrize(
    ("schema", "value", "converted"),
    [
        ({"type": "string", "format": "date-time"}, 1744750665, "2025-04-15T20:57:45.000000+00:00"),
        ({"type": "string", "format": "date"}, "1744750665000", "2025-04-15"),
        ({"type": "string", "format": "uuid"}, 7, "7"),
        ({"type": "array", "items": {"type": "integer"}}, ["7", None], [7, None]),
        ({"type": "array"}, [7, {"a": 1}], [7, {"a": 1}]),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": "7", "x": 1}, {"n": 7, "x": 1}),
        ({"type": "object", "properties": {"n": {}}, "additionalProperties": False}, {"n": 1, "x": 1}, {"n": 1}),
        ({"anyOf": [{"type": "string"}]}, 7, 7),
    ],
)
def test_formats_items_and_inner_properties_count(schema: Any, value: Any, converted: Any) -> None:
    assert converter_for(schema)(value) == converted


@given(anything, st.sampled_from(["string", "integer", "number", "boolean", "object", "array"]))
def test_whatever_comes_is_converted_or_refused(value: Any, kind: str) -> None:
    try:
        converted = converter_for({"type": kind})(value)
    except ValueError:
        return
    assert isinstance(converted, EXACT[kind])


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_has_a_description_and_no_other_leaves(stream: type[Conversations]) -> None:
    assert all(each["description"].endswith(".") for each in stream.schema["properties"].values())
    assert stream.schema["additionalProperties"] is False
