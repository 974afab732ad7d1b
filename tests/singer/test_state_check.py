from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.singer.state import UnreadableStateError, check_state
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
    ([], "Expected `object`"),
    (None, "Expected `object`"),
    ("text", "Expected `object`"),
    ({"type": "STATE", "value": {"bookmarks": {}}}, "`type`"),
    ({"type": "STATE", "value": {}}, "`type`"),
    ({"value": {"bookmarks": {}}}, "`value`"),
    ({"bookmarks": []}, "`$.bookmarks`"),
    ({"bookmarks": None}, "`$.bookmarks`"),
    ({"singer_state": OURS}, "`singer_state`"),
    ({"completed": {"singer_state": OURS}, "partial": {}}, "`completed`"),
    ({"conversations": {"lastActionAt": "2026-01-01"}}, "`conversations`"),
    ({"bookmarks": {}, "messages": "2026-01-01"}, "`messages`"),
    ({"bookmarks": {"Conversations": {"partitions": [partition("2026-01-01")]}}}, "'Conversations'"),
    ({"bookmarks": {"conversation": {"partitions": [partition("2026-01-01")]}}}, "no bookmark for conversations"),
    ({"bookmarks": {"another": {"replication_key_value": 7}}}, "'another'"),
    ({"bookmarks": {"conversations": []}}, "the stream 'conversations'"),
    ({"bookmarks": {"conversations": None}}, "the stream 'conversations'"),
    ({"bookmarks": {"conversations": "2026-01-01"}}, "the stream 'conversations'"),
    ({"bookmarks": {"conversations": {"partitions": {}}}}, "`$.partitions`"),
    ({"bookmarks": {"conversations": {"replication_key_value": "2026-01-01"}}}, "`replication_key_value`"),
    ({"bookmarks": {"messages": {"replication_key_value": "2026-01-01", "partitions": []}}}, "'messages'"),
    ({"bookmarks": {"conversations": {"lastActionAt": "2026-01-01"}}}, "`lastActionAt`"),
    ({"bookmarks": {"conversations": {"bot": "2026-01-01"}}}, "`bot`"),
    (state_of("text"), "`$.partitions[0]`"),
    (state_of({"replication_key_value": "2026-01-01"}), "`context`"),
    (state_of({"context": {"bot": "bot"}, "replication_key_value": "2026-01-01"}), "`$.partitions[0].context`"),
    (state_of({"context": {"bot_name": "bot", "stream": "x"}}), "`$.partitions[0].context`"),
    (state_of({"context": {"bot_name": 7}}), "`$.partitions[0].context.bot_name`"),
    (state_of(partition("2026-01-01"), partition("2026-01-02")), "two partitions for the bot 'bot'"),
    (state_of({"context": {"bot_name": "bot"}, "lastActionAt": "2026-01-01"}), "'lastActionAt'"),
    (
        state_of({"context": {"bot_name": "bot"}, "progress_markers": {"replication_key_value": "2026"}}),
        "'progress_markers'",
    ),
    (state_of({**partition("2026-01-01"), "complete_until": "soon"}), "`$.partitions[0].complete_until`"),
]


NO_TIMES: list[Any] = [
    "soon",
    "",
    1744750665,
    "1744750665",
    {},
    True,
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "1969-12-31T23:59:59Z",
]


@pytest.mark.parametrize("value", NO_TIMES)
def test_a_bookmark_that_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableStateError) as refused:
        check_state(state_of(partition(value)), STREAMS)
    assert "a time from 1970 on in ISO 8601 - at `$.partitions[0].replication_key_value`" in str(refused.value)


@pytest.mark.parametrize(("state", "says"), UNREADABLE)
def test_a_state_that_would_begin_again_is_refused_in_one_sentence(state: Any, says: str) -> None:
    with pytest.raises(UnreadableStateError, match=r"^The state cannot be read: .*; give the tap .*\.$") as refused:
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
        state_of({**partition("2026-01-01"), "recent_counts": [["a", "b", 5]]}),
        state_of(
            {**partition("2026-01-01"), "complete_until": "2026-01-02", "per_hour": "edited", "of": "a later version"}
        ),
        {"bookmarks": {}, "currently_syncing": "messages"},
        state_of({"context": {"bot_name": "bot"}}),
        state_of({"context": {"bot_name": "bot"}, "starting_replication_value": "2026-01-01"}),
    ],
)
def test_a_state_that_can_be_gone_on_from_passes(state: Any) -> None:
    check_state(state, STREAMS)


def test_a_stream_that_is_none_of_the_tap_s_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    check_state({"bookmarks": {**OURS["bookmarks"], "Message": {}, "another": {}}}, STREAMS)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "'Message', 'another'" in warning


@pytest.mark.parametrize(
    ("bookmark", "moment"),
    [
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("20260101", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-09-15T03:00:00+05:30", datetime(2026, 9, 14, 21, 30, tzinfo=UTC)),
        ("2026-09-15 03:00:00.5", datetime(2026, 9, 15, 3, tzinfo=UTC)),
    ],
)
def test_what_the_check_lets_pass_the_sync_reads(serve: Serve, bookmark: str, moment: datetime) -> None:
    sandbox, url = serve()
    state = state_of(partition(bookmark), partition("2026-01-01", "other"))
    output = sync(config_for(url, start_date="2026-01-01", lookback_days=0), state)
    assert min(starts_of(sandbox)) == int(moment.timestamp())
    assert output.state


def starts_of(sandbox: Sandbox) -> list[int]:
    return [int(each["start_time"]) + 1 for each in sandbox.requests if each["endpoint"] == "conversations"]


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
        ("", "is not JSON in UTF-8 (Expecting value: line 1 column 1 (char 0)). In a first run, leave the option out"),
        ("{", "is not JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"bookmarks": 7}', "`$.bookmarks`"),
        (
            f"{LINE}\n{LINE}\n",
            "keep only the last",
        ),
        (b"\xff", "is not JSON in UTF-8"),
        (f'{{"bookmarks": {"[" * 100_000}', "recursion"),
        (f'{{"bookmarks": {"1" * 10_000}}}', "is not JSON"),
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
