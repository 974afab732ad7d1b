from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.conform import Conformer, UndocumentedFields
from tap_deepconverse.records.page import UnusableRecordError, parse_page
from tap_deepconverse.records.warnings import RecordWarnings
from tap_deepconverse.streams import Conversations, Messages

LOGGER = logging.getLogger("conform")
ID = "0123456789abcdef0123456789abcdef"

both_ways = pytest.mark.parametrize("is_shallow", [True, False])


def conformed(
    *records: Any, is_shallow: bool, excluded: tuple[str, ...] = (), schema: Any = Conversations.schema
) -> list[Any]:
    undocumented = UndocumentedFields(LOGGER, "messages")
    warnings = RecordWarnings(LOGGER, "Bot 'bot'")
    conformer = Conformer("bot", schema, warnings, undocumented, excluded, is_shallow)
    page = parse_page(json.dumps({"data": records, "cursor": None}).encode())
    return [json.loads(msgspec.json.encode(record)) for record in conformer.records(page, "page 3 of the window")]


@both_ways
def test_a_record_has_all_columns_and_no_others(is_shallow: bool) -> None:  # noqa: FBT001
    plain, more = conformed(
        {"_id": ID},
        {"_id": ID, "csat": {"score": 5}, "bot_name": "Bot!", "additional_fields": 7, "locale": "en_us"},
        is_shallow=is_shallow,
    )
    assert plain.keys() == more.keys() == Conversations.schema["properties"].keys()
    assert plain["additional_fields"] is None
    assert more["additional_fields"] == {"csat": {"score": 5}, "bot_name": "Bot!", "additional_fields": 7}
    assert more["bot_name"] == "bot"
    assert more["locale"] == "en_us"


@both_ways
def test_new_fields_are_named_once_and_what_looks_like_the_sender_is_singled_out(
    caplog: pytest.LogCaptureFixture,
    is_shallow: bool,  # noqa: FBT001
) -> None:
    caplog.set_level(logging.INFO)
    record = {"_id": ID, "senderName": "Kim", "csat": 5}
    conformed(record, record, is_shallow=is_shallow, schema=Messages.schema)
    (line,) = caplog.messages
    assert "(csat, senderName); they are in `additional_fields`; senderName may be the sender" in line
    assert "Kim" not in line


def test_what_is_excluded_is_seen_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metadata = {"__sys_userIp": "1.2.3.4", "browser_userMeta": {"email": "a@b.c", "plan": "pro"}}
    record = {"_id": ID, "metadata": metadata, "email": "a@b.c", "user": [{"email": "a@b.c", "id": 7}]}
    excluded = ("__sys_user*", "browser_userMeta.email", "email", "user.email")
    (left,) = conformed(record, is_shallow=False, excluded=excluded)
    assert left["metadata"] == {"browser_userMeta": {"plan": "pro"}}
    assert left["additional_fields"] == {"user": [{"id": 7}]}
    assert "email" not in caplog.text


@pytest.mark.parametrize("metadata", ['{"__sys_userIp": "1.2.3.4"}', 7, True])
def test_metadata_that_cannot_be_searched_is_null(caplog: pytest.LogCaptureFixture, metadata: Any) -> None:
    (record,) = conformed({"_id": ID, "metadata": metadata}, is_shallow=False, excluded=("__sys_userIp",))
    assert record["metadata"] is None
    assert (
        f"`metadata` of the record with _id '{ID}' is not an object (record 1 of page 3 of the window)" in caplog.text
    )


def test_text_that_stands_where_an_excluded_name_leads_is_null_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    metadata = {"browser_userMeta": '{"email": "a@b.c"}', "plan": "pro"}
    record = {"_id": ID, "metadata": metadata, "user": ["a@b.c", {"email": "a@b.c"}]}
    (left,) = conformed(record, is_shallow=False, excluded=("browser_userMeta.email", "user.email"))
    assert left["metadata"] == {"browser_userMeta": None, "plan": "pro"}
    assert left["additional_fields"] == {"user": [None, {}]}
    for path in ("metadata.browser_userMeta", "additional_fields.user"):
        assert (
            f"`{path}` of the record with _id '{ID}' is not an object (record 1 of page 3 of the window)" in caplog.text
        )
    assert "a@b.c" not in caplog.text
    (message,) = conformed({"_id": ID, "outMsg": "Hi"}, is_shallow=False, schema=Messages.schema, excluded=("a.b",))
    assert message.keys() == Messages.schema["properties"].keys()


@both_ways
def test_an_id_of_null_in_a_document_database_s_form_is_none(is_shallow: bool) -> None:  # noqa: FBT001
    (message,) = conformed({"_id": ID, "conversationId": {"$oid": None}}, is_shallow=is_shallow, schema=Messages.schema)
    assert message["conversationId"] is None
    with pytest.raises(UnusableRecordError):
        conformed({"_id": {"$oid": None}}, is_shallow=is_shallow, schema=Messages.schema)


def test_of_an_object_only_what_cannot_be_converted_is_null(caplog: pytest.LogCaptureFixture) -> None:
    inner = {"score": {"type": ["integer", "null"]}, "since": {"type": "string", "format": "date-time"}}
    columns = {
        "_id": {"type": "string"},
        "metadata": {"type": ["object", "null"], "properties": inner},
        "tags": {"type": ["array", "null"], "items": {"type": "number"}},
    }
    metadata = {"score": "many", "since": 1744750665, "plan": "pro"}
    record = {"_id": ID, "metadata": metadata, "tags": [1, "two", None, "3"]}
    (left,) = conformed(record, is_shallow=True, schema={"properties": columns})
    assert left["metadata"] == {"score": None, "since": "2025-04-15T20:57:45.000000+00:00", "plan": "pro"}
    assert left["tags"] == [1, None, None, 3]
    for name in ("metadata", "tags"):
        assert f"`{name}` of the record with _id '{ID}' (record 1 of page 3 of the window) holds something that is" in (
            caplog.text
        )
    assert "many" not in caplog.text


@both_ways
@pytest.mark.parametrize("form", [lambda text: {"$oid": text}, lambda text: text])
def test_ids_and_times_are_read_in_a_document_database_s_form_too(form: Any, is_shallow: bool) -> None:  # noqa: FBT001
    record = {"_id": form(ID), "time": {"$date": 1744750665000}, "conversationId": form("67fe")}
    (message,) = conformed(record, is_shallow=is_shallow, schema=Messages.schema)
    assert (message["_id"], message["conversationId"]) == (ID, "67fe")
    assert message["time"] == "2025-04-15T20:57:45.000000+00:00"


def test_a_time_that_cannot_be_parsed_is_named_by_its_place(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = conformed({"_id": "Kim", "startTime": "soon"}, is_shallow=True)
    assert record["startTime"] is None
    assert "`startTime` of a record (record 1 of page 3 of the window) is not a time" in caplog.text
    assert "(record 1 of page 3 of the window)" in caplog.text
    assert "Kim" not in caplog.text


fields = st.dictionaries(st.sampled_from(["a", "metadata", "tags", "locale", "startTime"]), st.text() | st.integers())


@given(fields)
def test_both_ways_give_the_same(record: dict[str, Any]) -> None:
    record["_id"] = ID
    assert conformed(record, is_shallow=True) == conformed(record, is_shallow=False)
