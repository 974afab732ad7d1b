from __future__ import annotations

import logging
from typing import Any

import pytest

from tap_deepconverse.records.announced import AnnouncedSchema
from tap_deepconverse.records.warnings import RecordWarnings
from tap_deepconverse.streams import Conversations

SCHEMA = Conversations.schema
RECORD: dict[str, Any] = {
    "_id": "67fe",
    "locale": "en_us",
    "metadata": {"plan": "pro"},
    "additional_fields": {"csat": "7", "x": 1},
}


def fitted(change: dict[str, Any], *without: str) -> dict[str, Any]:
    properties = {name: each for name, each in SCHEMA["properties"].items() if name not in without}
    announced = AnnouncedSchema(SCHEMA, {"properties": {**properties, **change}})
    copy = {**RECORD, "additional_fields": dict(RECORD["additional_fields"])}
    return announced.fit(copy, "page 3", RecordWarnings(logging.getLogger("test"), "Bot 'bot'"))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"locale": {"type": ["null", "string"], "description": "Another."}},
        {"locale": {"type": "string"}},
        {"tags": {"type": "array", "items": {"type": "string"}}},
    ],
)
def test_what_changes_no_type_changes_no_record(change: dict[str, Any]) -> None:
    assert not AnnouncedSchema(SCHEMA, {"properties": {**SCHEMA["properties"], **change}}).is_changed
    assert fitted(change) == RECORD


def test_a_column_takes_the_type_that_the_catalog_gives_it() -> None:
    assert fitted({"metadata": {"type": "string"}})["metadata"] == '{"plan":"pro"}'


def test_only_the_part_that_cannot_be_converted_is_null(caplog: pytest.LogCaptureFixture) -> None:
    inner = {"plan": {"type": "integer"}, "seats": {"type": ["integer", "null"]}}
    record = fitted({"metadata": {"type": "object", "properties": inner}, "csat": {"type": "array", "items": {}}})
    assert record["metadata"] == {"plan": None}
    assert "a part of `metadata` of a record cannot be converted" in caplog.text
    assert "pro" not in caplog.text


def test_an_added_column_leaves_the_additional_fields() -> None:
    record = fitted({"csat": {"type": ["integer", "null"]}, "nps": {"type": "integer"}})
    assert record["csat"] == 7
    assert record["nps"] is None
    assert record["additional_fields"] == {"x": 1}
    whole = fitted({"csat": {"type": "integer"}, "x": {}})
    assert whole["additional_fields"] is None
    assert whole["x"] == 1


def test_a_column_that_the_catalog_does_not_have_is_left_out() -> None:
    record = fitted({}, "additional_fields", "locale")
    assert record == {"_id": "67fe", "metadata": {"plan": "pro"}}


def test_what_cannot_be_converted_is_null_and_named_by_its_place(caplog: pytest.LogCaptureFixture) -> None:
    assert fitted({"locale": {"type": "integer"}})["locale"] is None
    (line,) = caplog.messages
    assert line.startswith("Bot 'bot': `locale` of a record cannot be converted")
    assert "page 3" in line
    assert "en_us" not in line
