import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.readers import as_written, read_page, records_in
from tap_deepconverse.api.errors import InvalidPageError, UnknownShapeError
from tap_deepconverse.records.page import CURSOR, DATA, Page, UnusablePageError, parse_page


def named(body: Any) -> bytes:
    """A body with the API's keys in place of `data` and `cursor`."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return written.replace(b'"data"', b'"%b"' % DATA.encode()).replace(b'"cursor"', b'"%b"' % CURSOR.encode())


def page_of(body: Any) -> Page:
    return parse_page(named(body))


def parsed(body: bytes) -> list[dict[str, Any]]:
    deeply = [as_written(record) for record in records_in(named(body))]
    assert [as_written(record) for record in records_in(named(body), is_shallow=True)] == deeply
    return deeply


def refused(body: bytes) -> UnusablePageError:
    """Why a page's records cannot be emitted, however deeply they are parsed."""
    with pytest.raises(UnusablePageError) as refusal:
        list(records_in(named(body), is_shallow=True))
    with pytest.raises(UnusablePageError, match=f"^{refusal.value}$"):
        list(records_in(named(body)))
    return refusal.value


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b'{"data": [', b'{"data": [{"a": secret}]}', [], {}, "secret",
        {"data": {}}, {"data": "secret"}, {"data": None, "cursor": "secret"}, {"cursor": "secret"},
        b'{"data": [{"_id": "a", "b": -Infi', b'{"data": [{"_id": "a", "b": 1}]', b"NaN",
        b'{"data": [], "cursor": NaN}', b'{"data": [], "error": NaN}',
    ],
)  # fmt: skip
def test_what_is_no_page_or_cut_short_is_refused_without_being_repeated(body: Any) -> None:
    with pytest.raises(InvalidPageError) as refusal:
        page_of(body)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        *((record, "is not an object") for record in (b'"secret"', b"null", b"7", b'["secret"]')),
        *((b'{"text": "secret"%b}' % rest, "has no `_id`") for rest in (b"", b', "_id": null', b', "_id": ""')),
        *(
            (b'{"_id": "b", "c": [1, 2], "text": %b}' % value, "holds NaN, Infinity or a number that is too large")
            for value in (b"1e999999999999999999999", b"1" * 5000, b"NaN", b'{"secret": [-Infinity, 1]}')
        ),
    ],
)
def test_a_record_that_cannot_be_emitted_is_refused_by_its_position(record: bytes, said: str) -> None:
    refusal = refused(b'{"data": [{"_id": "a", "b": [1, {"c": "[{,NaN"}]}, ' + record + b"]}")
    assert str(refusal).startswith(f"record 2 of page 1 {said}")
    assert "secret" not in str(refusal)


@pytest.mark.parametrize("nested", [b"[" * 100_000 + b"]" * 100_000, b'{"secret":' * 200_000 + b"1" + b"}" * 200_000])
def test_what_no_parser_could_read_is_refused(nested: bytes) -> None:
    """By its page, or, from Python 3.14 on, by its record: there, what is only skipped may be nested at will."""
    is_skipped = sys.version_info >= (3, 14)
    what, error = ("record 1 of page 1", InvalidPageError) if is_skipped else ("the response", UnusablePageError)
    refusal = refused(b'{"data": [{"_id": "a", "text": %b}]}' % nested)
    assert str(refusal) == f"{what} is nested more deeply than can be read"
    with pytest.raises(error):
        page_of(b'{"data": [], "error": %b}' % nested)


@pytest.mark.parametrize(
    "record",
    [
        b'{"_id": "a", "b": 1, "b": 2}',
        b'{"_id": "a", "b": [{"c": 1}, {"c": 1, "c":1}]}',
        b'{"_id": "a", "b": 1, "\\u0062": 2}',
        b'{"_id": "a", "b": "lost", "b": "\\u003a"}',
        b'{"_id": "a", "data": {"data": 1, "cursor": "data"}, "b": "{\\"data\\": NaN}", "b": "-Infinity"}',
    ],
)
def test_of_a_key_that_stands_twice_the_last_one_counts(record: bytes) -> None:
    (other, emitted) = parsed(b'{"data": [{"_id": "x", "b": {"c": 1}, "c": 1}, ' + record + b"]}")
    assert other == {"_id": "x", "b": {"c": 1}, "c": 1, "bot_name": "bot"}
    assert emitted == {**json.loads(named(record)), "bot_name": "bot"}


@pytest.mark.parametrize(
    "says",
    [
        b'"error": null, "errors": []',
        b'"errors": [ ], "error": {\n}',
        b'"error": false',
        b'"error": ""',
        b'"error": {"code": 0}',
        b'"error": "none", "errors": [null]',
        b'"message": "Conversations fetched"',
        b'"message": "No data for the given period", "statusCode": 200',
        b'"message": "No conversations found for this time range"',
        b'"message": "OK"',
        b'"message": "No conversations found."',
        b'"took": NaN, "stats": {"a": 1, "b": [NaN, -Infinity]}',
    ],
)
def test_what_says_that_there_is_no_error_is_a_page(says: bytes) -> None:
    assert page_of(b'{"data": [], "cursor": "c", %b}' % says).cursor == "c"
    more = b'"cursor": "c", "hasMore": true, "total": 9, ' + says
    for body in (b'{%b, "data": [{"_id": "a"}]}', b'{"data": [{"_id": "a"}], %b}'):
        assert page_of(body % more).cursor == "c"
        assert len(parsed(body % more)) == 1


AROUND = ["meta", "metadata", "pagination", "page", "paging", "Meta"]


@pytest.mark.parametrize("around", ["", *AROUND])
@pytest.mark.parametrize(
    "says",
    [
        {"error": "secret"}, {"errors": [{"message": "secret"}]}, {"error": {"code": 1}},
        {"success": False}, {"ok": False}, {"success": "false"}, {"status": "ERROR"}, {"status": "failed"},
        {"status": 500}, {"partial": True}, {"has_more": True}, {"hasMore": True}, {"hasMore": 1}, {"isLast": False},
        {"nextPage": "secret"}, {"timedOut": 1}, {"timeout": True}, {"isPartial": "yes"}, {"partialResults": True},
        {"status": "partial"}, {"errorCode": "secret"}, {"code": 500}, {"failures": ["secret"]}, {"hasNextPage": True},
    ],
)  # fmt: skip
def test_half_a_page_is_no_page(says: dict[str, Any], around: str) -> None:
    beside = {around: says} if around else says
    for records in [], [{"_id": "a"}]:
        with pytest.raises(InvalidPageError, match=f"not a whole page, as its `{next(iter(says))}` says") as refusal:
            page_of({"data": records, "cursor": None, **beside})
        assert not isinstance(refusal.value, UnknownShapeError)
        assert "secret" not in str(refusal.value)
    assert page_of({"data": [{"_id": "a", around: says}], "cursor": None, around: 2}).data
    assert not page_of({"data": [], "cursor": None, around: {"success": True, "error": None, "hasMore": False}}).data


@pytest.mark.parametrize(
    "says", [{"message": "Forbidden"}, {"Message": "no"}, {"MESSAGE": "no"}, {"detail": "no route"}]
)
def test_a_message_counts_where_there_are_no_records(says: dict[str, Any]) -> None:
    for beside in (says, *({around: says} for around in AROUND)):
        with pytest.raises(InvalidPageError, match=f"not a whole page, as its `{next(iter(says))}` says"):
            page_of({"data": [], "cursor": None, **beside})
    with pytest.raises(InvalidPageError, match="not a whole page"):
        page_of(says)
    assert page_of({"data": [{}], "cursor": None, **says}).data
    for well in ({"success": True}, {"status": 200}):
        assert not page_of({"data": [], "cursor": None, **well, **says}).data


@pytest.mark.parametrize("body", [{"data": None, "cursor": None}, {"cursor": None}, {"data": None}, {"data": []}])
def test_an_empty_page_has_many_forms(body: dict[str, Any]) -> None:
    page = page_of(body)
    assert not page.data
    assert page.cursor is None
    assert page.has_cursor_key == ("cursor" in body)
    assert parse_page(b"", 204) == Page([])


@pytest.mark.parametrize(
    ("total", "seen"),
    [(5, 5), (0, 0), ("5", 5), ("", None), ("many", None), (None, None), (True, None), (-1, None), ({}, None)],
)
@pytest.mark.parametrize("name", ["total", "totalCount", "total_count"])
def test_a_total_above_what_came_is_seen(name: str, total: Any, seen: int | None) -> None:
    assert page_of({"data": [{"_id": "a", name: 9}], "cursor": None, name: total}).total == seen
    assert page_of({"data": [{"_id": "a"}], "cursor": None, "meta": {name: total}}).total == seen


@pytest.mark.parametrize("end", [None, "", False, 0, "0", -1, "null"])
def test_what_others_write_in_place_of_a_null_cursor_is_the_end(end: Any) -> None:
    assert page_of({"data": [{"_id": "a"}], "cursor": end}).cursor is None


@pytest.mark.parametrize("cursor", [{"secret": 1}, ["secret"], True, 1.5])
def test_a_cursor_that_is_no_text_is_told_at_once(cursor: Any) -> None:
    with pytest.raises(UnusablePageError, match=f"`{CURSOR}` in the response is not text") as refusal:
        page_of({"data": [{}], "cursor": cursor})
    assert "secret" not in str(refusal.value)


def test_an_answer_of_another_shape_is_told_with_its_keys() -> None:
    with pytest.raises(UnknownShapeError, match="its keys: items, token and 1 more"):
        page_of({"items": [{"_id": "a"}], "token": "c", "anna@example.com": 1})
    page = page_of({"data": [], "token": "c"})
    assert page.keys == f"{DATA}, token"
    assert page.size == len(named({"data": [], "token": "c"}))


@pytest.mark.parametrize("is_shallow", [False, True])
@pytest.mark.parametrize("depth", [500, *range(900, 1_000, 24)])
def test_what_is_read_can_be_written(depth: int, is_shallow: bool) -> None:  # noqa: FBT001
    """The limit is the interpreter's, and where it lies depends on who asks; a record has to keep away from it."""
    body = b'{"data": [{"_id": "a", "b": ' + b"[" * depth + b"]" * depth + b"}]}"
    try:
        (record,) = records_in(named(body), is_shallow=is_shallow)
    except UnusablePageError:
        assert depth > 500
        return
    written = msgspec.json.encode({"type": "RECORD", "record": record})
    assert b"[" * depth in written


@pytest.mark.parametrize("character", [b"\x00", b"\n", b"\x7f"])
def test_a_control_character_that_stands_as_it_is_is_kept(character: bytes) -> None:
    for text in (character, b"a" + character + b"b", b'\\"' + character):
        body = b'{"data":\n[{"_id": "a",\t"text": "' + text + b'"}]}'
        (record,) = parsed(body)
        assert record["text"] == text.replace(b'\\"', b'"').decode()
        assert not page_of(body).has_lost_text


@pytest.mark.parametrize(
    "piece", [b'\\"', b"\\\\", b'"', b"\\", b"\x01", b"\xff", rb"\ud83d", b"NaN,", b"[", b'{"a":', b"-", b"{}"]
)
@pytest.mark.parametrize("before", [b'{"data":[{"_id":"a","t":"', b'{"data":[{"_id":"a","t":', b'{"data":['])
def test_a_page_that_is_cut_short_is_known_for_one_without_delay(before: bytes, piece: bytes) -> None:
    """A way to look at it that takes the square of its length would not come to an end here."""
    with pytest.raises((InvalidPageError, UnusablePageError)):
        page_of(before + piece * 100_000)


@pytest.mark.parametrize("is_shallow", [False, True])
def test_numbers_keep_their_digits(is_shallow: bool) -> None:  # noqa: FBT001
    numbers = b"0.1000000000000000055511151231257827,123456789012345678901,1.10,-0.0"
    body = b'{"data": [{"_id": "a", "nested": {"n": [' + numbers + b'],"price": 1.10}, "price": 1.10}]}'
    (record,) = records_in(named(body), is_shallow=is_shallow)
    written = msgspec.json.Encoder(decimal_format="number").encode(record)
    assert numbers in written
    assert written.replace(b" ", b"").count(b'"price":1.10') == 2


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\\\ud83d", "\\\ufffd"),
        (b"\xff \xed\xa0\xbd ok", "\ufffd \ufffd\ufffd\ufffd ok"),
        (rb"\ud83d \u00e4\u0000\/", "\ufffd \u00e4\x00/"),
    ],
)
def test_half_an_emoji_is_replaced_and_nothing_else(written: bytes, text: str) -> None:
    whole = b'{"_id": "b", "text": "whole \\ud83d\\ude00"}'
    records = parsed(b'{"data": [{"_id": "a", "text": "' + written + b'"}, ' + whole + b"]}")
    assert [record["text"] for record in records] == [text, "whole \U0001f600"]
    json.dumps(records, ensure_ascii=False).encode()
    assert page_of(b'\xef\xbb\xbf{"data": [], "text": "' + written + b'"}').has_lost_text
    assert not page_of(b'\xef\xbb\xbf{"data": [{"_id": "\\ud83d\\ude00"}]}').has_lost_text


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


@given(json_values, st.booleans(), st.binary())
def test_anything_is_a_page_or_a_clear_error(value: Any, as_record: bool, noise: bytes) -> None:  # noqa: FBT001
    read_page(noise)
    whole = {"data": [{"_id": "a", "b": value}, value], "cursor": None} if as_record else value
    read_page(named(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass")))
    read_page(named(whole))


@given(json_values, st.data())
def test_json_that_was_spoilt_is_a_page_or_a_clear_error(value: Any, data: st.DataObject) -> None:
    body = bytearray(named({"data": [{"_id": "a", "b": value}], "cursor": "c"}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_page(bytes(body))
    read_page(bytes(body[: data.draw(st.integers(0, len(body)))]))
