"""The sandbox behaves as documented, and as told where the documentation is silent."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.archive import DAY, Archive, sample_archive
from sandbox.check import Rows, differences, received_rows
from sandbox.contract import CURSOR, DATA, ENDPOINTS, KEY, KEY_HEADER, parameters
from sandbox.server import ORDERS, SELECT_BY
from tests.conftest import NOW
from tests.support import ROOT

if TYPE_CHECKING:
    from tests.conftest import Serve

ALL: dict[str, Any] = {"start_time": 0, "end_time": NOW // 1000 + 1, "bot_name": "bot"}


def ask(url: str, stream: str = "conversations", key: str = KEY, **query: Any) -> requests.Response:
    path = ENDPOINTS[stream].path if stream in ENDPOINTS else stream
    cookies, query = query.pop("cookies", None), parameters(**{**ALL, **query})
    return requests.get(url + path, query, headers={KEY_HEADER: key}, cookies=cookies, timeout=600)


def read_all(url: str, stream: str = "conversations", **query: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = ask(url, stream, cursor=cursor, **query).json()
        records += page[DATA]
        cursor = page[CURSOR]
        if cursor is None:
            return records


def test_the_same_seed_gives_the_same_data_and_life_goes_on() -> None:
    moment = datetime(2026, 9, 1, tzinfo=UTC)
    one, same, other = (sample_archive(500, 30, now=moment, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert sum(map(len, one.conversations.values())) == 500
    before = {bot: {key: dict(c) for key, c in records.items()} for bot, records in one.conversations.items()}
    one.live(one.lived_until + 30_000)
    for bot_name, conversations in one.conversations.items():
        assert conversations.keys() > before[bot_name].keys()
        assert any(conversations[key] != old for key, old in before[bot_name].items())
    assert max(m["time"] for m in one.messages["r3-218210"].values()) <= one.lived_until


def test_pages_and_cursors(serve: Serve, archive: Archive) -> None:
    _, url = serve()
    records = read_all(url, per_page=7)
    assert len(records) == 50
    assert {record["_id"] for record in records} == archive.conversations["bot"].keys()
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
        (400, {"start_time": None}),
        (400, {"end_time": None}),
        (400, {"bot_name": None}),
        (400, {"start_time": "2026-01-01"}),
        (400, {"per_page": 0}),
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


def test_so_many_requests_for_each_endpoint(serve: Serve) -> None:
    _, url = serve(requests_per_second=1)
    answers = [ask(url) for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].ok
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert ask(url, "messages").status_code == 200


@pytest.mark.parametrize("select_by", SELECT_BY)
@pytest.mark.parametrize("is_inside", [True, False])
def test_the_window(serve: Serve, archive: Archive, select_by: str, is_inside: bool) -> None:  # noqa: FBT001
    _, url = serve(select_by=select_by, end_inclusive=is_inside, start_inclusive=is_inside, times="milliseconds")
    edge = NOW // 1000 - 86_400
    archive.begin("bot", edge * 1000)
    for found in (read_all(url, end_time=edge), read_all(url, start_time=edge)):
        assert any(record[select_by] == edge * 1000 for record in found) == is_inside
    assert all(record[select_by] >= edge * 1000 for record in read_all(url, start_time=edge))


@pytest.mark.parametrize("order", ORDERS)
def test_the_order(serve: Serve, order: str) -> None:
    _, url = serve(order=order)
    records = read_all(url, per_page=9)
    starts = [record["startTime"] for record in records]
    actions = [record["lastActionAt"] for record in records]
    orders = {
        "start-rising": starts == sorted(starts),
        "start-falling": starts == sorted(starts, reverse=True),
        "action-rising": actions == sorted(actions),
        "action-falling": actions == sorted(actions, reverse=True),
    }
    assert orders.get(order, not any(orders.values()))


@pytest.mark.parametrize(
    ("times", "written"),
    [
        ("seconds", 1790000000),
        ("milliseconds", 1790000000250),
        ("fraction", 1790000000.25),
        ("digits", "1790000000"),
        ("iso", "2026-09-21T14:13:20.250+00:00"),
    ],
)
def test_the_writing_of_times(serve: Serve, times: str, written: Any) -> None:
    archive = Archive()
    archive.add_bot("bot", 0, NOW - DAY, NOW)
    archive.begin("bot", NOW + 250)
    _, url = serve(archive, times=times)
    (record,) = read_all(url, end_time=NOW // 1000 + 1)
    assert record["startTime"] == record["lastActionAt"] == written


@pytest.mark.parametrize(
    ("behaviour", "statuses"),
    [
        ({"refuses_future": True, "clock_behind": 3600}, [400]),
        ({"forbidden": ("bot",)}, [403]),
        ({"forbidden": ("messages",)}, [200]),
        ({"hiccup": 2}, [200, 403, 200]),
    ],
)
def test_what_is_refused(serve: Serve, behaviour: dict[str, Any], statuses: list[int]) -> None:
    _, url = serve(**behaviour)
    answers = [ask(url, end_time=int(time.time())) for _ in statuses]
    assert [answer.status_code for answer in answers] == statuses
    date = parsedate_to_datetime(answers[0].headers["Date"]).timestamp()
    assert date + behaviour.get("clock_behind", 0) <= time.time() + 1


def test_how_much_comes(serve: Serve) -> None:
    assert len(read_all(serve(per_query=20)[1], per_page=7)) == 20
    assert len(ask(serve(per_page=5)[1]).json()[DATA]) == 5
    span: dict[str, Any] = {"start_time": NOW // 1000 - 3600, "end_time": NOW // 1000 - 3599}
    days, no_start, no_end = (
        len(read_all(serve(edges=edges)[1], **span)) for edges in ("days", "no start_time", "no end_time")
    )
    assert no_start > days > no_end
    assert ask(serve(empty="204")[1], start_time=0, end_time=1).status_code == 204
    assert ask(serve(empty="null")[1], start_time=0, end_time=1).json() == {DATA: None, CURSOR: None}
    assert ask(serve(empty="missing")[1], start_time=0, end_time=1).json() == {CURSOR: None}


def test_what_a_cursor_is_good_for(serve: Serve) -> None:
    urls = {kind: serve(cursor=kind)[1] for kind in ("object", "once", "with a cookie", "of empty pages")}
    assert isinstance(ask(urls["object"], per_page=5).json()[CURSOR], dict)
    cursor = ask(urls["once"], per_page=5).json()[CURSOR]
    assert [ask(urls["once"], cursor=cursor).status_code for _ in range(2)] == [200, 400]
    first = ask(urls["with a cookie"], per_page=5)
    cursor = first.json()[CURSOR]
    assert ask(urls["with a cookie"], cursor=cursor).status_code == 400
    assert ask(urls["with a cookie"], cursor=cursor, cookies=first.cookies).status_code == 200
    empty = ask(urls["of empty pages"], cursor=ask(urls["of empty pages"]).json()[CURSOR]).json()
    assert empty[DATA] == []
    assert empty[CURSOR]
    _, url = serve(cursor_seconds=1e-9)
    assert ask(url, cursor=ask(url, per_page=5).json()[CURSOR]).status_code == 400


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


def test_the_command_says_what_to_use() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "sandbox", "--port", "0", "--conversations", "20", "--set", "per_query=1"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        said = dict(server.stdout.readline().split(maxsplit=1) for _ in range(3))
        key, bot_name = said["api_key"].strip(), json.loads(said["bot_names"])[0]
        answer = ask(said["api_url"].strip(), key=key, bot_name=bot_name, end_time=int(time.time()))
        server.terminate()
    assert len(answer.json()[DATA]) == 1
