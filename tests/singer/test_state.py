from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.singer.state import UnreadableStateError, check_state
from tests.support import command, config_for, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer

    from tests.conftest import Serve, WriteJson


def state_of(*partitions: Any, stream: str = "conversations") -> dict[str, Any]:
    return {"bookmarks": {stream: {"partitions": list(partitions)}}}


def partition(value: Any, bot_name: str = "bot") -> dict[str, Any]:
    return {"context": {"bot_name": bot_name}, "replication_key": "lastActionAt", "replication_key_value": value}


UNREADABLE: list[Any] = [
    [],
    "text",
    {"type": "STATE", "value": {"bookmarks": {}}},
    {"type": "STATE", "value": {}},
    {"value": {"bookmarks": {}}},
    {"bookmarks": []},
    {"bookmarks": {"conversations": []}},
    {"bookmarks": {"conversations": {"partitions": {}}}},
    state_of("text"),
    state_of({"replication_key_value": "2026-01-01"}),
    state_of(partition("2026-01-01"), partition("2026-01-02")),
    state_of(partition("soon")),
    state_of(partition(1744750665)),
    state_of(partition({})),
]


@pytest.mark.parametrize("state", UNREADABLE)
def test_what_cannot_be_gone_on_from_is_one_sentence(state: Any) -> None:
    with pytest.raises(UnreadableStateError, match=r"^The state cannot be read: [^.]*; give the tap [^.]*\.$"):
        check_state(state)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bookmarks": {}},
        {"bookmarks": {"another": {"replication_key_value": 7}}},
        state_of(partition("2026-01-01T00:00:00Z"), partition("2026-01-01", "other")),
        state_of({"context": {"bot_name": "bot"}}),
    ],
)
def test_what_can_be_gone_on_from_passes(state: Any) -> None:
    check_state(state)


@pytest.mark.parametrize("text", ["", "{", *map(str, [[], '{"bookmarks": 7}'])])
def test_the_command_says_it_before_it_asks_the_api(httpserver: HTTPServer, write_json: WriteJson, text: str) -> None:
    config = write_json(config_for(httpserver.url_for("")))
    path = write_json({}, "state.json")
    path.write_text(text)
    done = command("--config", config, "--state", path)
    assert done.status == 1
    assert "tate" in done.log.splitlines()[-1]
    assert "Traceback" not in done.log
    assert not httpserver.log


def counts_in(state: dict[str, Any], stream: str) -> Any:
    return state["bookmarks"][stream]["partitions"][0]["recent_counts"]


def test_a_state_says_how_many_records_there_were_lately(serve: Serve) -> None:
    _, url = serve()
    config = config_for(url, start_date="2026-09-01", end_date="2026-09-22")
    output = sync(config)
    for stream, key in (("conversations", "lastActionAt"), ("messages", "time")):
        counts = counts_in(output.state, stream)
        assert 1 <= len(counts) <= 102
        assert all(start < end for start, end, _ in counts)
        assert all(one[1] <= following[0] for one, following in pairwise(counts))
        # Two days before the bookmark, which is a day more than the next run reads again, and a little.
        lately = [each for each in output.records(stream) if each[key] > "2026-09-19T14:13:20"]
        assert sum(n for _, _, n in counts) >= len(lately)


@pytest.mark.parametrize(
    "counts",
    [
        [],
        None,
        7,
        "text",
        [7],
        [["soon", "2026-09-20T00:00:00Z", 5]],
        [["2026-09-20T00:00:00Z", "2026-09-19T00:00:00Z", 5]],
        [["2026-09-19T00:00:00Z", "2026-09-20T00:00:00Z", -5]],
        [["2026-09-19T00:00:00Z", "2026-09-20T00:00:00Z", 10**15]],
        [["2026-09-19T00:00:00Z", "2026-09-21T00:00:00Z", 5], ["2026-09-20T00:00:00Z", "2026-09-21T00:00:00Z", 5]],
    ],
)
def test_counts_that_somebody_has_edited_lose_nothing(serve: Serve, counts: Any) -> None:
    _, url = serve()
    config = config_for(url, start_date="2026-09-01", end_date="2026-09-22")
    first = sync({**config, "end_date": "2026-09-20T12:00:00Z"})
    for stream in ("conversations", "messages"):
        first.state["bookmarks"][stream]["partitions"][0]["recent_counts"] = counts
    second = sync(config, first.state)
    whole = sync(config)
    for stream in ("conversations", "messages"):
        assert first.newest(stream).keys() | second.newest(stream).keys() == whole.newest(stream).keys()
