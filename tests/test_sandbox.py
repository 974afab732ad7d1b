"""The sandbox behaves as documented, and as told where the documentation is silent."""

from typing import Any

import pytest
import requests

from sandbox.archive import Archive
from sandbox.check import Rows, differences, received_rows
from sandbox.contract import CURSOR, DATA, ENDPOINTS, KEY, KEY_HEADER, parameters
from sandbox.server import SELECT_BY
from tests.conftest import NOW, Serve

ALL: dict[str, Any] = {"start_time": 0, "end_time": NOW // 1000 + 1, "bot_name": "bot"}


def ask(url: str, stream: str = "conversations", key: str = KEY, **query: Any) -> requests.Response:
    path = ENDPOINTS[stream].path if stream in ENDPOINTS else stream
    return requests.get(url + path, parameters(**{**ALL, **query}), headers={KEY_HEADER: key}, timeout=600)


def read_all(url: str, stream: str = "conversations", **query: Any) -> list[dict[str, Any]]:
    page = ask(url, stream, **query).json()
    records: list[dict[str, Any]] = page[DATA]
    return records + (read_all(url, stream, **{**query, "cursor": page[CURSOR]}) if page[CURSOR] else [])


def test_pages_and_cursors(serve: Serve, archive: Archive) -> None:
    _, url = serve()
    records = read_all(url, per_page=7)
    assert sorted(record["_id"] for record in records) == sorted(archive.conversations["bot"])
    assert len(ask(url, per_page=7).json()[DATA]) == 7
    assert ask(url, per_page=50).json()[CURSOR] is None
    messages = read_all(url, "messages", per_page=10)
    wanted = messages[0]["conversationId"]
    some = read_all(url, "messages", conversation_id=wanted)
    assert {m["_id"] for m in some} == {m["_id"] for m in messages if m["conversationId"] == wanted}


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (403, {"key": "wrong"}),
        (400, {"end_time": None}),
        (400, {"bot_name": None}),
        (400, {"start_time": "2026-01-01"}),
        (400, {"per_page": 1001}),
        (400, {"cursor": "!"}),
        (404, {"bot_name": "unknown"}),
        (404, {"stream": "/conversations/export/v1/bots"}),
    ],
)
def test_errors_are_in_the_gateways_style(serve: Serve, status: int, request_: dict[str, Any]) -> None:
    _, url = serve()
    answer = ask(url, **request_)
    assert answer.status_code == status
    assert list(answer.json()) == ["message"]


@pytest.mark.parametrize("select_by", SELECT_BY)
@pytest.mark.parametrize("is_inside", [True, False])
def test_the_window(serve: Serve, archive: Archive, select_by: str, is_inside: bool) -> None:  # noqa: FBT001
    _, url = serve(select_by=select_by, end_inclusive=is_inside, start_inclusive=is_inside, times="milliseconds")
    edge = NOW // 1000 - 86_400
    archive.begin("bot", edge * 1000)
    for found in (read_all(url, end_time=edge), read_all(url, start_time=edge)):
        assert any(record[select_by] == edge * 1000 for record in found) == is_inside
    assert all(record[select_by] >= edge * 1000 for record in read_all(url, start_time=edge))


def test_differences_are_found() -> None:
    expected: Rows = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": None}}
    assert differences(expected, expected) == []
    assert differences(expected, {"a": {"x": 1, "y": 2}, "b": {"x": 2}, "d": {}}) == [
        "b differs in x", "c is missing", "d came from nowhere",
    ]  # fmt: skip
    assert differences(expected, {**expected, "c": {}}) == ["c differs in x"]
    rows = [{"_id": "a", "x": 2}, {"_id": "a", "x": 1}]
    with pytest.raises(ValueError, match="a is there twice"):
        received_rows(rows)
    assert received_rows(rows, appended=True) == {"a": {"_id": "a", "x": 1}}
