from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.pagination import CursorPaginator, InvalidPageError, RepeatedCursorError, page_of, parse_page


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
        b"", b"<html>", b'{"data": [', b'{"data": [{"a": secret}]}', b'{"data": [NaN]}', [], {}, "secret",
        {"data": None}, {"data": {}}, {"data": "secret"}, {"data": [], "cursor": True},
        {"data": [], "cursor": {"secret": 1}}, {"data": [], "cursor": 1.5},
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_without_being_repeated(body: Any) -> None:
    with pytest.raises(InvalidPageError) as refusal:
        page_of(answer(body))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("record", ["secret", None, 7, ["secret"]])
def test_a_record_that_is_no_object_is_refused_by_its_position(record: Any) -> None:
    with pytest.raises(InvalidPageError, match=r"^record 1 of a page is not an object"):
        list(page_of(answer({"data": [{"_id": "a"}, record]})).records())


def test_an_answer_is_parsed_once() -> None:
    response = answer({"data": [{}], "cursor": None})
    assert page_of(response) is page_of(response)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b'{"a": 1e999999999999999999999}', "record 0 of a page is not an object, or holds a number"),
        (b"[" * 5000 + b"]" * 5000, "too deeply"),
    ],
)
def test_what_no_target_could_hold_is_refused(record: bytes, said: str) -> None:
    with pytest.raises(InvalidPageError, match=said):
        records_of(record)


def records_of(body: bytes) -> list[dict[str, Any]]:
    """The records of a page, each of which gets an `_id` and loses it again."""
    with_id = re.sub(rb"^\{|(?<=, )\{", b'{"_id": "a", ', body)
    return [{k: v for k, v in r.items() if k != "_id"} for r in parse_page(b'{"data": [' + with_id + b"]}").records()]


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
    try:
        (record,) = parse_page(noisy).records()
    except InvalidPageError:
        assert any(byte < 0x20 for byte in noise)
    else:
        record["text"].encode()
