from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tap_deepconverse.pagination import CursorPaginator, InvalidPageError, RepeatedCursorError, page_of


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
        b"", b"<html>", b'{"data": [', [], {}, "text", {"data": None}, {"data": {}}, {"data": ["text"]},
        {"data": [None]}, {"data": [], "cursor": True}, {"data": [], "cursor": {}}, {"data": [], "cursor": 1.5},
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_without_being_repeated(body: Any) -> None:
    with pytest.raises(InvalidPageError) as refusal:
        page_of(answer(body))
    assert "text'" not in str(refusal.value)


def test_numbers_keep_their_digits() -> None:
    page = page_of(answer(b'{"data": [{"price": 0.1000000000000000055511151231257827, "id": 123456789012345678901}]}'))
    assert str(page.records[0]["price"]) == "0.1000000000000000055511151231257827"
    assert page.records[0]["id"] == 123456789012345678901
