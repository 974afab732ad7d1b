from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from fuzz.readers import read_page
from tap_deepconverse.pagination import (
    CursorPaginator,
    InvalidPageError,
    RepeatedCursorError,
    UnusableRecordError,
    page_of,
    parse_page,
)


def answer(body: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()  # noqa: SLF001
    return response


def test_follows_the_cursor_until_there_is_none() -> None:
    paginator = CursorPaginator()
    for cursor in ("a", "b", 3):
        paginator.advance(answer({"data": [], "cursor": cursor}))
        assert not paginator.finished
        assert paginator.current_value == str(cursor)
    paginator.advance(answer({"data": [{}], "cursor": None}))
    assert paginator.finished


@pytest.mark.parametrize("body", [{"data": []}, {"data": [], "cursor": None}, {"data": [], "cursor": ""}])
def test_no_cursor_is_the_end(body: Any) -> None:
    paginator = CursorPaginator()
    paginator.advance(answer(body))
    assert paginator.finished


def test_an_empty_page_is_not_the_end() -> None:
    assert CursorPaginator().continue_if_empty(answer({"data": [], "cursor": "a"}))


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "c", "a"]])
def test_a_cursor_that_comes_back_is_an_error(cursors: list[str]) -> None:
    paginator = CursorPaginator()
    for cursor in cursors[:-1]:
        paginator.advance(answer({"data": [], "cursor": cursor}))
    with pytest.raises(RepeatedCursorError, match="same cursor twice"):
        paginator.advance(answer({"data": [], "cursor": cursors[-1]}))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b'{"data": [', b'{"data": [{"a": secret}]}', [], {}, "secret",
        {"data": None}, {"data": {}}, {"data": "secret"}, {"data": [], "cursor": True},
        {"data": [], "cursor": {"secret": 1}}, {"data": [], "cursor": 1.5},
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_without_being_repeated(body: Any) -> None:
    with pytest.raises(InvalidPageError) as refusal:
        page_of(answer(body))
    assert "secret" not in str(refusal.value)


def parsed(body: bytes) -> list[dict[str, Any]]:
    """The records of a page, none of which has a key twice."""

    def complain(position: int) -> None:
        pytest.fail(f"record {position} is said to have a key twice")

    return [record for _, record in parse_page(body).records(complain)]


@pytest.mark.parametrize("record", ["secret", None, 7, ["secret"]])
def test_a_record_that_is_no_object_is_refused_by_its_position(record: Any) -> None:
    with pytest.raises(UnusableRecordError, match=r"^record 2 of the page is not an object$"):
        parsed(json.dumps({"data": [{"_id": "a"}, record]}).encode())


@pytest.mark.parametrize("identity", [{}, {"_id": None}, {"_id": ""}])
def test_a_record_without_an_id_is_refused_by_its_position(identity: dict[str, Any]) -> None:
    with pytest.raises(UnusableRecordError, match=r"^record 2 of the page has no `_id`"):
        parsed(json.dumps({"data": [{"_id": "a"}, {"text": "secret", **identity}]}).encode())


def test_an_answer_is_parsed_once() -> None:
    response = answer({"data": [{}], "cursor": None})
    assert page_of(response) is page_of(response)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"1e999999999999999999999", "beyond all bounds"),
        (b"1" * 5000, "beyond all bounds"),
        (b"NaN", "holds NaN or Infinity"),
        (b'{"secret": [-Infinity, 1]}', "holds NaN or Infinity"),
        (b"[" * 100_000 + b"]" * 100_000, "nested more deeply"),
        (b'{"secret":' * 200_000 + b"1" + b"}" * 200_000, "nested more deeply"),
    ],
)
def test_what_no_target_could_hold_is_refused_by_its_position(value: bytes, said: str) -> None:
    body = b'{"data": [{"_id": "a", "b": [1, {"c": "[{,NaN"}]}, {"_id": "b", "c": [1, 2], "text": ' + value + b"}]}"
    with pytest.raises(UnusableRecordError, match=rf"^record 2 of the page .*{said}") as refusal:
        parsed(body)
    assert refusal.value.position == 2
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("nested", [b"[" * 500 + b"]" * 500, b'{"a":' * 500 + b"1" + b"}" * 500])
def test_what_is_nested_hundreds_of_times_is_passed_on(nested: bytes) -> None:
    (record,) = parsed(b'{"data": [{"_id": "a", "b": ' + nested + b"}]}")
    assert json.dumps(record["b"]).replace(" ", "").encode() == nested


def test_text_that_says_nan_is_text() -> None:
    (record,) = parsed(b'{"data": [{"_id": "a", "text": "NaN, -Infinity"}]}')
    assert record["text"] == "NaN, -Infinity"


@pytest.mark.parametrize("body", [b'{"data": [{"_id": "a", "b": NaN', b'{"data": [{"_id": "a", "b": NaN}]', b"NaN"])
def test_what_is_cut_short_may_come_whole_the_next_time(body: bytes) -> None:
    with pytest.raises(InvalidPageError):
        parse_page(body)


@pytest.mark.parametrize(
    "record",
    [
        b'{"_id": "a", "b": 1, "b": 2}',
        b'{"_id": "a", "b": {"c" : {"d":1}, "e":1, "c": {}}}',
        b'{"_id": "a", "b": [{"c": 1}, {"c": 1, "c":1}]}',
        b'{"_id": "a", "b": 1, "\\u0062": 2}',
        b'{"_id": "a", "b": "lost", "b": "\\u003a"}',
    ],
)
def test_a_key_that_stands_twice_is_noticed_and_the_last_one_counts(record: bytes) -> None:
    positions: list[int] = []
    page = parse_page(b'{"data": [{"_id": "x", "b": {"c": 1}, "c": 1}, ' + record + b"]}")
    records = [record for _, record in page.records(positions.append)]
    assert positions == [2]
    assert records[1] == json.loads(record)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"_id": "a"}], "data": [{"_id": "b"}], "cursor": null}',
        b'{"cursor": "next", "data": [{"_id": "a"}], "cursor": null}',
        b'{"data":[{"_id":"a","x":{"data":1}}],"x":[{},{"data":[]}],"data":[{"_id":"b"}]}',
        b'{"data": [{"_id": "a"}], "d\\u0061ta": []}',
        b'{"cursor": "next", "data": [], "curs\\u006fr": null}',
    ],
)
def test_a_page_that_has_its_records_or_its_cursor_twice_is_not_taken(body: bytes) -> None:
    with pytest.raises(InvalidPageError, match="has `data` or `cursor` twice"):
        parse_page(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"_id": "a", "data": {"data": 1, "cursor": "data"}}], "cursor": "data", "type": "cursor"}',
        b'{"type": "data", "data": [{"_id": "a", "text": "{\\"data\\": \\"data\\"}"}], "cursor": "cursor"}',
    ],
)
def test_keys_of_that_name_within_records_are_the_records(body: bytes) -> None:
    assert len(parsed(body)) == 1


@pytest.mark.parametrize("says", [{"error": "no"}, {"errors": [{"message": "no"}]}, {"error": {"code": 1}}])
def test_an_error_beside_no_records_is_not_the_end_of_the_window(says: dict[str, Any]) -> None:
    with pytest.raises(InvalidPageError, match="an error, with no records"):
        page_of(answer({"data": [], "cursor": None, **says}))


@pytest.mark.parametrize("says", [{"error": None, "errors": []}, {"error": False}, {"message": "OK"}, {"error": ""}])
def test_what_says_that_there_is_no_error_is_a_page(says: dict[str, Any]) -> None:
    assert page_of(answer({"data": [], "cursor": "c", **says})).cursor == "c"


def test_nan_beside_the_records_is_not_laid_to_one() -> None:
    for beside in (b'"took": NaN', b'"stats": {"a": 1, "b": NaN}', b'"stats": [1, 2, NaN]'):
        for body in (b'{%b, "data": [{"_id": "a"}]}', b'{"data": [{"_id": "a"}], %b}'):
            with pytest.raises(InvalidPageError, match="not JSON"):
                parse_page(body % beside)


def test_nesting_beside_the_records_is_not_laid_to_one() -> None:
    with pytest.raises(InvalidPageError, match="the answer is nested more deeply"):
        parse_page(b'{"data": [{"_id": "a"}, {"_id": "b"}], "error": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@pytest.mark.parametrize("depth", range(900, 1_000, 7))
def test_what_is_read_can_be_written(depth: int) -> None:
    """The limit is the interpreter's, and where it lies depends on who asks; a record has to keep away from it."""
    body = b'{"data": [{"_id": "a", "b": ' + b"[" * depth + b"]" * depth + b"}]}"
    try:
        (record,) = parsed(body)
    except UnusableRecordError:
        return
    assert msgspec.json.encode({"type": "RECORD", "record": record})


@given(st.dictionaries(st.text(), st.text() | st.dictionaries(st.text(), st.integers())), st.booleans())
def test_keys_that_stand_once_are_not_taken_for_twice(fields: dict[str, Any], ascii_: bool) -> None:  # noqa: FBT001
    text = json.dumps({"data": [{**fields, "_id": "a"}]}, ensure_ascii=ascii_)
    assert len(parsed(text.encode("utf-8", "replace"))) == 1


def test_many_keys_are_passed_on() -> None:
    fields = {f"key{number}": number for number in range(200_000)}
    (record,) = parsed(json.dumps({"data": [{"_id": "a", **fields}]}).encode())
    assert len(record) == 200_001


@pytest.mark.parametrize("character", [b"\x00", b"\n", b"\t", b"\x1f", b"\x7f"])
def test_a_control_character_that_stands_as_it_is_is_kept(character: bytes) -> None:
    for text in (character, b"a" + character + b"b", b'\\"' + character):
        page = parse_page(b'{"data":\n[{"_id": "a",\t"text": "' + text + b'"}]}')
        ((_, record),) = page.records(lambda _: None)
        assert record["text"] == text.replace(b'\\"', b'"').decode()
        assert not page.has_lost_text


@pytest.mark.parametrize(
    "piece", [b'\\"', b"\\\\", b'"', b"\\", b"\x01", b"\xff", rb"\ud83d", b"NaN,", b"[", b'{"a":', b"-", b"{}"]
)
@pytest.mark.parametrize("before", [b'{"data":[{"_id":"a","t":"', b'{"data":[{"_id":"a","t":', b'{"data":['])
def test_a_page_that_is_cut_short_is_known_for_one_without_delay(before: bytes, piece: bytes) -> None:
    """A way to look at it that takes the square of its length would not come to an end here."""
    with pytest.raises((InvalidPageError, UnusableRecordError)):
        parse_page(before + piece * 300_000)


def test_a_byte_order_mark_is_no_part_of_a_page() -> None:
    assert parsed(b'\xef\xbb\xbf{"data": [{"_id": "a"}]}') == [{"_id": "a"}]


def test_text_that_could_not_be_kept_is_noticed() -> None:
    assert parse_page(rb'{"data": [{"_id": "\ud83d"}]}').has_lost_text
    assert parse_page(b'{"data": [{"_id": "\xff"}]}').has_lost_text
    assert not parse_page(rb'{"data": [{"_id": "\ud83d\ude00"}]}').has_lost_text


def records_of(body: bytes) -> list[dict[str, Any]]:
    """The records of a page, each of which gets an `_id` and loses it again."""
    with_id = re.sub(rb"^\{|(?<=, )\{", b'{"_id": "a", ', body)
    return [{k: v for k, v in r.items() if k != "_id"} for r in parsed(b'{"data": [' + with_id + b"]}")]


def test_numbers_keep_their_digits() -> None:
    (record,) = records_of(b'{"price": 0.1000000000000000055511151231257827, "id": 123456789012345678901, "f": 1.10}')
    assert str(record["price"]) == "0.1000000000000000055511151231257827"
    assert record["id"] == 123456789012345678901
    assert str(record["f"]) == "1.10"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"a\ude00b", "a\ufffdb"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (rb"\ud83d\n", "\ufffd\n"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\\\ud83d", "\\\ufffd"),
        (b"\xff \xed\xa0\xbd ok", "\ufffd \ufffd\ufffd\ufffd ok"),
        (rb"\ud83d \u00e4\u0000\/", "\ufffd \u00e4\x00/"),
    ],
)
def test_half_an_emoji_is_replaced_and_nothing_else(written: bytes, text: str) -> None:
    whole = {"text": "whole \U0001f600", "n": 1}
    records = records_of(b'{"text": "' + written + b'"}, ' + json.dumps(whole).encode())
    assert records == [{"text": text}, whole]
    json.dumps(records, ensure_ascii=False).encode()


@given(st.text(), st.binary(max_size=4))
def test_text_of_any_kind_is_read(text: str, noise: bytes) -> None:
    body = json.dumps({"text": text}).encode()
    assert records_of(body) == [json.loads(body, object_hook=None)] or any("\ud800" <= c <= "\udfff" for c in text)
    noisy = b'{"data": [{"_id": 1, "text": "' + noise.replace(b'"', b"").replace(b"\\", b"") + b'"}]}'
    (record,) = parsed(noisy)
    record["text"].encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


@given(st.binary())
def test_any_bytes_are_a_page_or_a_clear_error(body: bytes) -> None:
    read_page(body)


@given(json_values, st.booleans())
def test_any_json_is_a_page_or_a_clear_error(value: Any, as_record: bool) -> None:  # noqa: FBT001
    whole = {"data": [{"_id": "a", "b": value}, value], "cursor": None} if as_record else value
    read_page(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    read_page(json.dumps(whole).encode())


@given(json_values, st.data())
def test_json_that_was_spoilt_is_a_page_or_a_clear_error(value: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps({"data": [{"_id": "a", "b": value}], "cursor": "c"}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_page(bytes(body))
    read_page(bytes(body[: data.draw(st.integers(0, len(body)))]))
