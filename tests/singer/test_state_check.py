from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.singer.state_check import UnreadableStateError, check_state, read_bookmark
from tests.support import command, config_for, sync

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

    from sandbox.server import Sandbox
    from tests.conftest import Serve, WriteJson

STREAMS = ("conversations", "messages")


def state_of(*partitions: Any, stream: str = "conversations") -> dict[str, Any]:
    return {"bookmarks": {stream: {"partitions": list(partitions)}}}


def partition(value: Any, bot_name: str = "bot") -> dict[str, Any]:
    return {"context": {"bot_name": bot_name}, "replication_key": "lastActionAt", "replication_key_value": value}


OURS = state_of(partition("2026-01-01T00:00:00Z"))

UNREADABLE: list[tuple[Any, str]] = [
    ([], "an object with `bookmarks`"),
    (None, "an object with `bookmarks`"),
    ("text", "an object with `bookmarks`"),
    ({"type": "STATE", "value": {"bookmarks": {}}}, "`value`"),
    ({"type": "STATE", "value": {}}, "`value`"),
    ({"value": {"bookmarks": {}}}, "an object with `bookmarks`"),
    ({"bookmarks": []}, "an object with `bookmarks`"),
    ({"bookmarks": None}, "an object with `bookmarks`"),
    ({"singer_state": OURS}, "`singer_state`"),
    ({"completed": {"singer_state": OURS}, "partial": {}}, "`singer_state` under `completed`"),
    ({"conversations": {"lastActionAt": "2026-01-01"}}, "an old form"),
    ({"bookmarks": {}, "messages": "2026-01-01"}, "an old form"),
    ({"conversations": "2026-01-01"}, "an old form"),
    ({"bookmarks": {"Conversations": {"partitions": [partition("2026-01-01")]}}}, "'Conversations'"),
    ({"bookmarks": {"conversation": {"partitions": [partition("2026-01-01")]}}}, "no bookmark for conversations"),
    ({"bookmarks": {"another": {"replication_key_value": 7}}}, "'another'"),
    ({"bookmarks": {"conversations": []}}, "`partitions`"),
    ({"bookmarks": {"conversations": None}}, "`partitions`"),
    ({"bookmarks": {"conversations": "2026-01-01"}}, "`partitions`"),
    ({"bookmarks": {"conversations": {"partitions": {}}}}, "`partitions`"),
    ({"bookmarks": {"conversations": {"replication_key_value": "2026-01-01"}}}, "names no bot"),
    ({"bookmarks": {"messages": {"replication_key_value": "2026-01-01", "partitions": []}}}, "'messages'"),
    ({"bookmarks": {"conversations": {"lastActionAt": "2026-01-01"}}}, "names no bot"),
    ({"bookmarks": {"conversations": {"bot": "2026-01-01"}}}, "names no bot"),
    (state_of("text"), "`context`"),
    (state_of({"replication_key_value": "2026-01-01"}), "`context`"),
    (state_of({"context": {"bot": "bot"}, "replication_key_value": "2026-01-01"}), "`context`"),
    (state_of({"context": {"bot_name": "bot", "stream": "x"}}), "`context`"),
    (state_of(partition("2026-01-01"), partition("2026-01-02")), "two partitions"),
    (state_of({"context": {"bot_name": "bot"}, "lastActionAt": "2026-01-01"}), "'lastActionAt'"),
    (
        state_of({"context": {"bot_name": "bot"}, "progress_markers": {"replication_key_value": "2026"}}),
        "'progress_mar",
    ),
    (state_of(partition("soon")), "not a time"),
    (state_of(partition("")), "not a time"),
    (state_of(partition(1744750665)), "not a time"),
    (state_of(partition("1744750665")), "not a time"),
    (state_of(partition({})), "not a time"),
    (state_of(partition(value=True)), "not a time"),
    (state_of(partition("0001-01-01T00:00:00+05:00")), "not a time"),
    (state_of(partition("9999-12-31T23:59:59-05:00")), "not a time"),
    (state_of(partition("1969-12-31T23:59:59Z")), "not a time"),
]


@pytest.mark.parametrize(("state", "says"), UNREADABLE)
def test_a_state_that_would_begin_again_is_refused_in_one_sentence(state: Any, says: str) -> None:
    with pytest.raises(UnreadableStateError, match=r"^The state cannot be read: [^.]*; (give|take) .*\.$") as refused:
        check_state(state, STREAMS)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bookmarks": {}},
        {"bookmarks": {"conversations": {}}},
        {"bookmarks": {"conversations": {"partitions": []}, "another": {"replication_key_value": 7}}},
        state_of(partition("2026-01-01T00:00:00Z"), partition("2026-01-01", "other")),
        state_of(partition("9999-01-01T00:00:00Z")),
        state_of({"context": {"bot_name": "bot"}}),
        state_of({"context": {"bot_name": "bot"}, "starting_replication_value": "2026-01-01"}),
    ],
)
def test_a_state_that_can_be_gone_on_from_passes(state: Any) -> None:
    check_state(state, STREAMS)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (None, None),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("20260101", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T05:00:00+05:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01 00:00:00.5", datetime(2026, 1, 1, microsecond=500_000, tzinfo=UTC)),
    ],
)
def test_a_bookmark_is_a_time_in_iso_8601(value: Any, moment: datetime | None) -> None:
    assert read_bookmark(value) == moment


def test_a_stream_that_is_none_of_the_tap_s_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    check_state({"bookmarks": {**OURS["bookmarks"], "Message": {}, "another": {}}}, STREAMS)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert "'messages'" in warnings[0]


@pytest.mark.parametrize("bookmark", ["2026-01-01", "20260101", "2026-09-15T03:00:00+05:30", "2026-09-15 03:00:00"])
def test_what_the_check_lets_pass_the_sync_reads(serve: Serve, bookmark: str) -> None:
    sandbox, url = serve()
    state = state_of(partition(bookmark), partition("2026-01-01", "other"))
    output = sync(config_for(url, start_date="2026-01-01", lookback_days=0), state)
    first = min(starts_of(sandbox))
    moment = read_bookmark(bookmark)
    assert moment
    assert first == int(moment.timestamp())
    assert output.state


def starts_of(sandbox: Sandbox) -> list[int]:
    return [int(each["start_time"]) for each in sandbox.requests if each["endpoint"] == "conversations"]


def run_with(state: str | bytes, httpserver: HTTPServer, write_json: WriteJson) -> str:
    config = write_json(config_for(httpserver.url_for("")))
    path = write_json({}, "state.json")
    path.write_bytes(state.encode() if isinstance(state, str) else state)
    done = command("--config", config, "--state", path)
    assert done.status == 1
    assert "Traceback" not in done.log
    assert not httpserver.log
    return done.log.splitlines()[-1]


LINE = json.dumps(OURS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty. For a first run"),
        ("{", "is not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"bookmarks": 7}', "an object with `bookmarks`"),
        (f"{LINE}\n{LINE}\n", "keep only the last"),
        (b"\xff", "not UTF-8 text"),
        (f'{{"bookmarks": {"[" * 100_000}', "nested too deeply"),
        (f'{{"bookmarks": {"1" * 10_000}}}', "an invalid number"),
    ],
)
def test_the_command_says_it_before_it_asks_the_api(
    httpserver: HTTPServer, write_json: WriteJson, text: str | bytes, says: str
) -> None:
    assert says in run_with(text, httpserver, write_json)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_state_is_read_in_utf_8_whatever_the_locale(
    serve: Serve, write_json: WriteJson, tmp_path: Path, mark: str
) -> None:
    sandbox, url = serve()
    sandbox.archive.add_bot("Zoë", 5, 1_780_000_000_000, 1_790_000_000_000)
    config = write_json(config_for(url, "Zoë", lookback_days=0))
    state = tmp_path / "state.json"
    text = json.dumps(state_of(partition("2026-09-20T00:00:00Z", "Zoë")), ensure_ascii=False)
    state.write_text(mark + text, encoding="utf-8")
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("--config", config, "--state", state, env=plain)
    assert done.status == 0, done.log
    assert min(starts_of(sandbox)) == int(datetime(2026, 9, 20, tzinfo=UTC).timestamp())


def test_a_start_date_beyond_the_bookmark_leaves_a_gap_that_is_told(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    _, url = serve()
    sync(config_for(url, start_date="2026-09-15"), state_of(partition("2026-09-12T10:00:00Z")))
    assert (
        "between its bookmark (2026-09-12 10:00 UTC) and `start_date` (2026-09-15 00:00 UTC) is not read" in caplog.text
    )
    caplog.clear()
    sync(config_for(url, start_date="2026-09-12"), state_of(partition("2026-09-12T10:00:00Z")))
    assert "is not read" not in caplog.text


def test_a_bot_that_may_have_been_renamed_is_told_of(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    sandbox, url = serve()
    sandbox.archive.add_bot("new name", 5, 1_780_000_000_000, 1_790_000_000_000)
    state = state_of(partition("2026-09-12"), partition("2026-09-12", "old name"))
    sync(config_for(url, "bot", "new name"), state)
    lines = [line for line in caplog.messages if "no bookmark" in line]
    assert len(lines) == 1
    assert lines[0].startswith("Bot 'new name', stream 'conversations': no bookmark, so it begins at `start_date`")
    assert "'old name'" in lines[0]
