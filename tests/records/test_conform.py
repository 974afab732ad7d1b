from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.conform import as_list_of_text, as_object, as_text, converters
from tap_deepconverse.streams import Conversations, Messages

anything = st.recursive(
    st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(anything)
def test_text_stays_and_all_else_is_json_that_reads_the_same(value: Any) -> None:
    assert as_text(value) == value if isinstance(value, str) else json.loads(as_text(value)) == value


def test_json_text_keeps_letters_readable() -> None:
    assert as_text({"text": "Grüße 😀"}) == '{"text":"Grüße 😀"}'


def test_a_list_is_a_list_of_text() -> None:
    assert as_list_of_text(["resolved", None, 7, {"a": 1}]) == ["resolved", None, "7", '{"a":1}']
    assert as_list_of_text("resolved") == ["resolved"]


@pytest.mark.parametrize("value", ["text", ["a"], 7, False])
def test_what_is_no_object_is_kept_in_one(value: Any) -> None:
    assert as_object({"a": value}) == {"a": value}
    assert as_object(value) == {"value": value}


@pytest.mark.parametrize("stream", [Conversations, Messages])
def test_every_field_of_a_schema_has_a_converter_and_a_description(stream: type[Conversations]) -> None:
    properties = stream.schema["properties"]
    assert converters(stream.schema).keys() == properties.keys()
    assert all(schema["description"].endswith(".") for schema in properties.values())
