import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.singer.state import check_state
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for, sync

STREAMS = ("conversations", "messages")
DAY = "2026-01-01T00:00:00Z"


def state_of(*partitions: Any) -> dict[str, Any]:
    return {"bookmarks": {"conversations": {"partitions": list(partitions)}}}


def partition(value: Any = DAY, bot_name: str = "bot", **more: Any) -> dict[str, Any]:
    return {"context": {"bot_name": bot_name}, "replication_key_value": value, **more}


OURS = state_of(partition())


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (None, "Expected `object`"),
        ({"type": "STATE", "value": OURS}, "`bookmarks`"),
        ({"completed": {"singer_state": OURS}, "partial": {}}, "`bookmarks`"),
        ({"bookmarks": []}, "`$.bookmarks`"),
        ({"bookmarks": {"conversation": OURS["bookmarks"]["conversations"]}}, "`conversation` - at `$.bookmarks`"),
        ({"bookmarks": {"conversations": {"replication_key_value": DAY}}}, "`replication_key_value`"),
        (state_of({"replication_key_value": DAY}), "`context`"),
        (state_of({"context": {"bot_name": 7}}), "partitions[0].context.bot_name`"),
        (state_of({"context": {"bot_name": "bot"}, "progress_markers": {}}), "`progress_markers`"),
        (state_of(partition("2026-01-01")), "partitions[0].replication_key_value`"),
        (state_of(partition("2026-01-01T00:00:00")), "timezone"),
        (state_of(partition(complete_until="soon")), "partitions[0].complete_until`"),
        (state_of(partition(per_hour={"since": DAY, "counts": [-5]})), "`int` >= 0"),
        (state_of(partition(per_hour={"since": DAY, "counts": [10**15]})), "`int` <= "),
    ],
)
def test_a_state_that_would_begin_again_is_refused_in_one_sentence(state: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^The state cannot be read: .*; give the tap .*\.$") as refused:
        check_state(state, STREAMS)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bookmarks": {}, "currently_syncing": "messages"},
        {"bookmarks": {"conversations": {}}},
        state_of(partition("9999-01-01T00:00:00.000000+00:00"), partition(None, "other")),
        state_of(partition(recent_counts=[["a", "b", 5]], starting_replication_value=DAY)),
        state_of(partition(complete_until=DAY, per_hour={"since": DAY, "counts": [5]}), partition(per_hour=None)),
    ],
)
def test_a_state_that_can_be_gone_on_from_passes(state: Any) -> None:
    check_state(state, STREAMS)


def test_the_command_says_it_before_it_asks_the_api(httpserver: HTTPServer, write_json: WriteJson) -> None:
    config = write_json(config_for(httpserver.url_for("")))
    done = command("--config", config, "--state", write_json({"bookmarks": 7}, "state.json"))
    assert done.status == 1
    assert "Traceback" not in done.log
    assert not httpserver.log
    assert "`$.bookmarks`" in done.log.splitlines()[-1]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_state_is_read_in_utf_8_whatever_the_locale(
    serve: Serve, write_json: WriteJson, tmp_path: Path, mark: str
) -> None:
    sandbox, url = serve()
    sandbox.archive.add_bot("Zoë", 5, 1_780_000_000_000, 1_790_000_000_000)
    config = write_json(config_for(url, "Zoë", lookback_days=0))
    state = tmp_path / "state.json"
    text = json.dumps(state_of(partition("2026-09-20T05:30:00+05:30", "Zoë")), ensure_ascii=False)
    state.write_text(mark + text, encoding="utf-8")
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("--config", config, "--state", state, env=plain)
    assert done.status == 0, done.log
    starts = [int(each["start_time"]) for each in sandbox.requests if each["endpoint"] == "conversations"]
    assert min(starts) == datetime(2026, 9, 20, tzinfo=UTC).timestamp() - 1


def test_a_gap_and_a_bot_that_may_have_been_renamed_are_told(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    sandbox, url = serve()
    sandbox.archive.add_bot("new name", 5, 1_780_000_000_000, 1_790_000_000_000)
    state = state_of(partition("2026-09-12T10:00:00Z"), partition(DAY, "old name"))
    for start_date, gaps in ("2026-09-12", 0), ("2026-09-15", 1):
        caplog.clear()
        sync(config_for(url, "bot", "new name", start_date=start_date), state)
        gap = "between its bookmark (2026-09-12 10:00 UTC) and `start_date` (2026-09-15 00:00 UTC) is not read"
        assert caplog.text.count(gap) == caplog.text.count("is not read") == gaps
        (line,) = [line for line in caplog.messages if "no bookmark" in line]
        assert line.startswith("Bot 'new name', stream 'conversations': no bookmark, so it begins at `start_date`")
        assert "'old name'" in line
