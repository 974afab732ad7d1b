from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tap_deepconverse.pagination import CursorPaginator, RepeatedCursorError


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
