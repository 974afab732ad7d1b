import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.exclude import Exclusion
from tap_deepconverse.records.page import CURSOR, DATA, parse_page
from tap_deepconverse.records.warnings import RecordWarnings, UndocumentedFields
from tap_deepconverse.streams import Conversations, Messages

LOGGER = logging.getLogger("conform")
SILENT = logging.getLogger("silent")
SILENT.disabled = True
ID = "0123456789abcdef0123456789abcdef"


def conformed(
    *records: Any,
    excluded: tuple[str, ...] = (),
    schema: Any = Conversations.schema,
    announced: Any = None,
) -> list[Any]:
    """What becomes of a page's records: the same whether nested values are parsed or not."""
    page = parse_page(json.dumps({DATA: records, CURSOR: None}).encode())
    ways = []
    for is_shallow, logger in ((False, SILENT), (True, LOGGER)):
        undocumented = UndocumentedFields(logger, "messages")
        warnings = RecordWarnings(logger, "Bot 'bot'")
        exclusion = Exclusion(excluded, ("conversations", "messages")) if excluded else None
        conformer = Conformer("bot", schema, announced or schema, warnings, undocumented, exclusion, is_shallow)
        ways.append([json.loads(msgspec.json.encode(each)) for each in conformer.records(page, "page 3 of the window")])
    assert ways[0] == ways[1]
    return ways[0]


def test_a_record_has_all_columns_and_no_others() -> None:
    names = [f"field{number}" for number in range(50, 0, -1)]
    plain, many, more = conformed(
        {"_id": ID},
        {"_id": ID, **dict.fromkeys(names, 1)},
        {"locale": "en_us", "csat": {"score": 5}, "bot_name": "Bot!", "additional_fields": 7, "_id": ID},
    )
    assert [*plain] == [*more] == [*Conversations.schema["properties"]]  # in one order: some loaders count columns
    assert plain["additional_fields"] is None
    assert [*many["additional_fields"]] == names  # in the order of the API
    assert more["additional_fields"] == {"csat": {"score": 5}, "bot_name": "Bot!", "additional_fields": 7}
    assert more["bot_name"] == "bot"
    assert more["locale"] == "en_us"


def test_new_fields_are_named_once_and_what_looks_like_the_sender_is_singled_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    record = {"_id": ID, "senderName": "Kim", "csat": 5}
    conformed(record, record, schema=Messages.schema)
    (line,) = caplog.messages
    assert "(csat, senderName); they are in `additional_fields`; senderName may be the sender" in line
    assert "Kim" not in line


def test_what_is_excluded_is_seen_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Text that stands where an excluded name leads is null, with a warning."""
    caplog.set_level(logging.INFO)
    metadata = {"browser_userMeta": {"email": "a@b.c", "id": 7}, "account": '{"email": "a@b.c"}'}
    user = ["a@b.c", {"email": "a@b.c", "id": 7}]
    record = {"_id": ID, "metadata": {**metadata, "__sys_userIp": "1.2.3.4"}, "email": "a@b.c", "user": user}
    excluded = ("__sys_user*", "browser_userMeta.email", "account.email", "email", "user.email")
    left, plain = conformed(record, {"_id": ID, "metadata": "a@b.c"}, excluded=excluded)
    assert left["metadata"] == {"browser_userMeta": {"id": 7}, "account": None}
    assert left["additional_fields"] == {"user": [None, {"id": 7}]}
    assert plain["metadata"] is None
    for path, number in ("metadata.account", 1), ("additional_fields.user", 1), ("metadata", 2):
        name = f"`{path}` of the record with _id '{ID}' (record {number} of page 3 of the window)"
        assert f"{name} is text" in caplog.text
    assert "a@b.c" not in caplog.text
    for name in ("metadata.__sys_userIp", "messages.metadata.__sys_userip"):  # a message's own
        (message,) = conformed({**record, "user": 1, "email": 2}, schema=Messages.schema, excluded=(name,))
        assert message["additional_fields"] == {"metadata": metadata, "user": 1, "email": 2}


def test_of_an_object_only_what_cannot_be_converted_is_null(caplog: pytest.LogCaptureFixture) -> None:
    time = {"type": "string", "format": "date-time"}
    columns = {
        "_id": {"type": "string"},
        "startTime": time,
        "metadata": {"type": ["object", "null"], "properties": {"score": {"type": ["integer", "null"]}, "since": time}},
        "tags": {"type": ["array", "null"], "items": {"type": "number"}},
    }
    metadata = {"score": "many", "since": 1744750665, "plan": "pro"}
    record = {"_id": ID, "metadata": metadata, "tags": [1, "two", None, "3"]}
    left, other = conformed(record, {"_id": "Kim", "startTime": "soon"}, schema={"properties": columns})
    assert left["metadata"] == {"score": None, "since": "2025-04-15T20:57:45.000000+00:00", "plan": "pro"}
    assert left["tags"] == [1, None, None, 3]
    assert other["startTime"] is None
    for name in ("metadata", "tags"):
        place = f"`{name}` of the record with _id '{ID}' (record 1 of page 3 of the window)"
        assert f"{place} holds something that is" in caplog.text
    assert "`startTime` of a record (record 2 of page 3 of the window) is not a time" in caplog.text
    assert [text for text in ("many", "Kim", "soon") if text in caplog.text] == []


def test_ids_and_times_are_read_in_a_document_database_s_form_too() -> None:
    form = {"_id": {"$oid": ID}, "time": {"$date": 1744750665000}, "conversationId": {"$oid": "67fe"}}
    plain = {"_id": ID, "time": "2025-04-15T20:57:45.000000+00:00", "conversationId": "67fe"}
    one, other = conformed(form, plain, schema=Messages.schema)
    assert one.items() >= plain.items()
    assert one == other


def test_the_catalog_says_which_columns_there_are_and_of_what_types(caplog: pytest.LogCaptureFixture) -> None:
    columns = {
        **Conversations.schema["properties"],
        "metadata": {"type": "string"},
        "startTime": {"type": ["string", "null"]},
        "lastActionAt": {"type": "integer"},
        "additional_fields": {"type": "string"},
        "csat": {"type": "integer"},
        "nps": {"type": "array", "items": {"type": "string"}},
        "x": {},
    }
    del columns["locale"], columns["tags"]
    record = {"_id": ID, "startTime": 1744750665, "lastActionAt": 1744750665, "metadata": {"a": 1.10}, "csat": "7"}
    more = {"_id": ID, "x": {"a": [1]}, "y": 1, "nps": "7", "locale": "en_us", "tags": None}
    one, other, _ = conformed(record, more, more, announced={"properties": columns})
    time = "2025-04-15T20:57:45.000000+00:00"  # still a time
    assert (one["metadata"], one["startTime"], one["lastActionAt"], one["csat"]) == ('{"a":1.1}', time, 1744750665, 7)
    assert one["nps"] is one["x"] is one["additional_fields"] is None
    assert (other["nps"], other["x"], other["additional_fields"]) == (["7"], {"a": [1]}, '{"y":1}')
    (line,) = [line for line in caplog.messages if "the catalog has no column" in line]
    assert "no column `locale`" in line


fields = st.dictionaries(st.sampled_from(["a", "metadata", "tags", "locale", "startTime"]), st.text() | st.integers())


@given(fields)
def test_both_ways_give_the_same(record: dict[str, Any]) -> None:
    record["_id"] = ID
    conformed(record)
