from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.state import UnreadableStateError, check_state
from tests.support import command, config_for

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer

    from tests.conftest import WriteJson


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
