"""The sandbox behaves as documented, and as told where the documentation is silent."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.archive import DAY, Archive, sample_archive
from sandbox.check import Rows, differences, received_rows
from sandbox.server import KEY, ORDERS, SELECT_BY
from tests.conftest import NOW
from tests.support import ROOT

if TYPE_CHECKING:
    from tests.conftest import Serve

PATH = "/conversations/export/v1/conversations"
ALL: dict[str, Any] = {"start_time": 0, "end_time": NOW // 1000 + 1, "bot_name": "bot"}


def ask(url: str, path: str = PATH, key: str = KEY, **parameters: Any) -> requests.Response:
    return requests.get(url + path, {**ALL, **parameters}, headers={"x-api-key": key}, timeout=10)


def read_all(url: str, path: str = PATH, **parameters: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = ask(url, path, cursor=cursor, **parameters).json()
        records += page["data"]
        cursor = page["cursor"]
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
    last = max(m["time"] for m in one.messages["r3-218210"].values())
    assert last <= one.lived_until


def test_the_data_is_lifelike() -> None:
    archive = sample_archive(10_000, 120, now=datetime(2026, 9, 1, tzinfo=UTC))
    conversations = [c for records in archive.conversations.values() for c in records.values()]
    messages = [m for records in archive.messages.values() for m in records.values()]
    assert len(archive.conversations) == 2
    assert len(conversations) == 10_000
    assert 3 < len(messages) / len(conversations) < 6
    assert len({c["locale"] for c in conversations}) == 5
    for tag, share in (("resolved", 0.52), ("informed", 0.21), ("liveChat", 0.15)):
        assert abs(sum(tag in c["tags"] for c in conversations) / len(conversations) - share) < 0.02
    assert all(c["startTime"] <= c["lastActionAt"] for c in conversations)
    assert (
        {type(m["outMsg"]) for m in messages}
        == {type(m["userInput"]) for m in messages}
        == {str, dict, list, type(None)}
    )


def test_pages_and_cursors(serve: Serve, archive: Archive) -> None:
    _, url = serve()
    records = read_all(url, per_page=7)
    assert len(records) == 50
    assert {record["_id"] for record in records} == archive.conversations["bot"].keys()
    first = ask(url, per_page=7).json()
    assert len(first["data"]) == 7
    assert ask(url, per_page=50).json()["cursor"] is None


def test_messages_of_one_conversation(serve: Serve) -> None:
    _, url = serve()
    messages = read_all(url, "/conversations/export/v1/messages", per_page=10)
    wanted = messages[0]["conversationId"]
    some = read_all(url, "/conversations/export/v1/messages", conversation_id=wanted)
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
        (404, {"path": "/conversations/export/v1/bots"}),
    ],
)
def test_errors_are_in_the_gateways_style(serve: Serve, status: int, request_: dict[str, Any]) -> None:
    _, url = serve()
    answer = ask(url, **request_)
    assert answer.status_code == status
    assert list(answer.json()) == ["message"]


def test_three_requests_a_second_for_each_endpoint(serve: Serve) -> None:
    _, url = serve(requests_per_second=3)
    answers = [ask(url) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json() == {"message": "Too Many Requests"}
    assert ask(url, "/conversations/export/v1/messages").status_code == 200


@pytest.mark.parametrize("select_by", SELECT_BY)
@pytest.mark.parametrize("end_inclusive", [True, False])
def test_the_window(serve: Serve, archive: Archive, select_by: str, end_inclusive: bool) -> None:  # noqa: FBT001
    _, url = serve(select_by=select_by, end_inclusive=end_inclusive)
    edge = sorted(c[select_by] // 1000 for c in archive.conversations["bot"].values())[25]
    below, above = read_all(url, end_time=edge), read_all(url, start_time=edge)
    assert all(record[select_by] <= edge for record in below)
    assert all(record[select_by] >= edge for record in above)
    at_the_edge = [record for record in below if record[select_by] == edge]
    assert bool(at_the_edge) == end_inclusive


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


def test_differences_are_found() -> None:
    expected: Rows = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": None}}
    assert differences(expected, expected) == []
    assert differences(expected, {"a": {"x": 1, "y": 2}, "b": {"x": 2}, "d": {}}) == [
        "b differs in x", "c is missing", "d came from nowhere",
    ]  # fmt: skip
    assert differences(expected, {**expected, "c": {}}) == ["c differs in x"]


def test_a_row_that_is_there_twice_is_found() -> None:
    rows = [{"_id": "a", "x": 2}, {"_id": "a", "x": 1}]
    with pytest.raises(ValueError, match="a is there twice"):
        received_rows(rows)
    assert received_rows(rows, appended=True) == {"a": {"_id": "a", "x": 1}}


def test_the_command_says_what_to_use() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "sandbox", "--port", "0", "--conversations", "20"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        said = dict(server.stdout.readline().split(maxsplit=1) for _ in range(3))
        answer = ask(said["api_url"].strip(), key=said["api_key"].strip(), bot_name=json.loads(said["bot_names"])[0])
        server.terminate()
    assert answer.status_code == 200
