"""Nothing lost, nothing begun again: windows, checkpoints, resuming, late changes."""

import json
import logging
import random
import time
from copy import deepcopy
from datetime import UTC, datetime
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest

from sandbox.archive import DAY, Archive, Record
from sandbox.check import expected_rows
from sandbox.contract import ENDPOINTS, STREAMS
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS
from tap_deepconverse.records.values import format_time
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import Collector, Json, Output, bookmark_in, config_for, lost, start, sync

HOUR = DAY // 24
START_MS = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
READINGS = [
    {"select_by": by, "order": order, "end_inclusive": end_inclusive, "times": times}
    for (by, order, end_inclusive), times in zip(
        product(SELECT_BY, ORDERS, (True, False)), cycle(TIME_FORMATS[::-1]), strict=False
    )
]
"""Each of the first three with each of the others, and times in all forms."""


def date(milliseconds: int) -> str:
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))


def settings(url: str, until: int = START_MS + 11 * DAY, **others: Any) -> dict[str, Any]:
    span = {"start_date": date(START_MS), "end_date": date(until)}
    small = {"window_days": 1, "page_size": 20, "concurrency": 3}
    return config_for(url, **{**span, **small, **others})


def talk_on(archive: Archive, conversation: Record, moment: int) -> None:
    archive.say("bot", conversation, moment, {"type": "UserInput", "userInput": "And another thing"})


@pytest.fixture
def archive() -> Archive:
    """Ten days, with something exactly on each window's edge, and a pause of three days in the middle."""
    archive = Archive(seed=11)
    archive.add_bot("bot", 40, START_MS, START_MS + 4 * DAY)
    for day in (0, 1, 2, 3, 4, 8, 9):
        talk_on(archive, archive.begin("bot", START_MS + day * DAY), START_MS + day * DAY)
    for moment in range(START_MS + 7 * DAY, START_MS + 9 * DAY, 2 * HOUR):
        archive.hold_conversation("bot", moment + 250, moment + DAY)
    archive.lived_until = START_MS + 10 * DAY
    return archive


@pytest.mark.parametrize(
    ("concurrency", "reading"),
    list(zip(cycle((1, 3, 16)), READINGS, strict=False)),
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else f"{value} at once",
)
def test_three_runs_find_every_change_under_every_reading(
    serve: Serve, archive: Archive, reading: dict[str, Any], concurrency: int
) -> None:
    sandbox, url = serve(**reading)
    outputs: list[Output] = []
    state: Json | None = None
    for until in (START_MS + 10 * DAY, START_MS + 10 * DAY + 2 * HOUR, START_MS + 10 * DAY + 5 * HOUR):
        outputs.append(sync(settings(url, until, concurrency=concurrency), state))
        state = outputs[-1].state
        # Changes since: on the edge of the run before, on the edge of the next, and between.
        recent = archive.hold_conversation("bot", until, until + 1)
        talk_on(archive, recent, until + HOUR)
        archive.begin("bot", until + 2 * HOUR)
        archive.begin("bot", until)["tags"].append("informed")
        began_lately = [c for c in archive.conversations["bot"].values() if c["startTime"] > START_MS + 9 * DAY]
        talk_on(archive, began_lately[0], until + HOUR)
        if reading["select_by"] == "lastActionAt":
            talk_on(archive, next(iter(archive.conversations["bot"].values())), until + HOUR)
    outputs.append(sync(settings(url, START_MS + 10 * DAY + 9 * HOUR), state))
    assert lost(sandbox, *outputs) == []
    assert len(outputs[1].records("conversations")) < len(outputs[0].records("conversations")) / 2


@pytest.mark.parametrize(
    ("select_by", "lookback_days", "concurrency"),
    [("startTime", 0, 1), ("lastActionAt", 1, 16), ("startTime", 30, 3), ("startTime", 0, 16)],
)
def test_no_state_is_ahead_of_what_was_emitted_before_it(
    serve: Serve, archive: Archive, select_by: str, lookback_days: int, concurrency: int
) -> None:
    sandbox, url = serve(select_by=select_by, times="milliseconds")
    config = settings(url, lookback_days=lookback_days, concurrency=concurrency)
    first = sync(config)
    archive.live(archive.lived_until + 60_000)
    second = sync(config, first.state)
    messages = first.messages + second.messages
    emitted: dict[str, set[str]] = {stream: set() for stream in STREAMS}
    for message in messages:
        if message["type"] == "RECORD":
            emitted[message["stream"]].add(message["record"]["_id"])
        if message["type"] != "STATE":
            continue
        for stream in {*STREAMS} & message["value"]["bookmarks"].keys():
            bookmark = bookmark_in(message["value"], stream)
            selected_by = select_by.lower() if stream == "conversations" else ENDPOINTS[stream].time.lower()
            for key, row in expected_rows(sandbox, stream).items():
                if bookmark and format_time(row[selected_by]) < bookmark:
                    assert key in emitted[stream]
    for stream in STREAMS:
        states = [m["value"] for m in messages if m["type"] == "STATE" and stream in m["value"]["bookmarks"]]
        bookmarks = [bookmark_in(state, stream) or "" for state in states]
        assert bookmarks == sorted(bookmarks)
        assert len(set(bookmarks)) >= (5 if concurrency == 1 else 2)


def test_an_empty_stretch_moves_nothing_back_or_on(serve: Serve, archive: Archive) -> None:
    _, url = serve()
    until_the_pause = sync(settings(url, START_MS + 5 * DAY))
    through_the_pause = sync(settings(url, START_MS + 6 * DAY, lookback_days=0), until_the_pause.state)
    last = max(m["time"] for m in archive.messages["bot"].values() if m["time"] < START_MS + 5 * DAY)
    assert until_the_pause.bookmark("messages") == date(last // 1000 * 1000)
    assert through_the_pause.bookmark("messages") == until_the_pause.bookmark("messages")
    with_nothing_found = sync(
        settings(url, START_MS + 6 * DAY, start_date=date(START_MS + 5 * DAY)), until_the_pause.state
    )
    assert with_nothing_found.records("messages") == []
    assert with_nothing_found.bookmark("messages") == until_the_pause.bookmark("messages")


@pytest.mark.parametrize("select_by", SELECT_BY)
def test_what_turns_up_late_is_found_within_the_lookback(serve: Serve, archive: Archive, select_by: str) -> None:
    sandbox, url = serve(select_by=select_by)
    first = sync(settings(url))
    bookmark = max(c["lastActionAt"] for c in archive.conversations["bot"].values())
    late = archive.begin("bot", bookmark - 20 * HOUR)
    talk_on(archive, late, bookmark - 20 * HOUR)
    assert lost(sandbox, first) != []
    assert lost(sandbox, first, sync(settings(url), first.state)) == []


def test_a_bot_added_later_is_filled_while_the_others_go_on(serve: Serve, archive: Archive) -> None:
    sandbox, url = serve()
    first = sync(settings(url))
    archive.add_bot("late", 20, START_MS, START_MS + 3 * DAY)
    second = sync({**settings(url), "bot_names": ["bot", "late"]}, first.state)
    assert lost(sandbox, first, second) == []
    first_asked = min(int(query["start_time"]) for query in sandbox.requests if query["bot_name"] == "late")
    assert first_asked == pytest.approx(START_MS // 1000, abs=1)
    third = sync({**settings(url), "bot_names": ["late"]}, second.state)
    assert third.bookmark("conversations", "bot") == second.bookmark("conversations", "bot")


def test_an_end_before_the_bookmark_is_nothing_to_do(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sandbox, url = serve()
    state = sync(settings(url, START_MS + 9 * DAY)).state
    bookmark = datetime.fromisoformat(str(bookmark_in(state, "messages")))
    for until in (START_MS + 3 * DAY, int(bookmark.timestamp() * 1000)):
        asked = len(sandbox.requests)
        caplog.clear()
        again = sync(settings(url, until), state)
        assert again.state == state
        assert len(sandbox.requests) == asked
        assert "Bot 'bot', stream 'messages': nothing to do up to" in caplog.text


@pytest.mark.parametrize(
    ("select_by", "said"),
    [("startTime", "began within `lookback_days` before"), ("lastActionAt", "every change is found")],
)
def test_which_time_the_api_selects_by_is_noticed_and_said_once(
    serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture, select_by: str, said: str
) -> None:
    caplog.set_level(logging.INFO)
    for conversation in list(archive.conversations["bot"].values())[:5]:
        talk_on(archive, conversation, conversation["startTime"] + 2 * DAY)
    _, url = serve(select_by=select_by)
    sync(settings(url))
    (line,) = [r.getMessage() for r in caplog.records if "the API selects by" in r.getMessage()]
    assert line.startswith(f"Stream 'conversations': the API selects by `{select_by}`")
    assert said in line


def test_the_log_sums_up_and_claims_nothing_untrue(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, url = serve()
    output = sync(settings(url, START_MS + 10 * DAY))
    count = len(output.records("messages"))
    said = f"Bot 'bot', stream 'messages': {count:,} records from 2026-03-01 00:00 to 2026-03-11 00:00 UTC, "
    assert said in caplog.text
    assert "resumable" not in caplog.text
    assert "replication value is null" not in caplog.text


def test_a_full_table_is_read_from_the_start_each_time(serve: Serve, archive: Archive) -> None:
    _, url = serve()
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for stream in catalog["streams"]:
        stream["replication_method"] = "FULL_TABLE"
    state = sync(settings(url)).state
    writer = Collector()
    TapDeepConverse(config=settings(url), catalog=catalog, state=deepcopy(state), message_writer=writer).sync_all()
    assert writer.output.newest("conversations").keys() == archive.conversations["bot"].keys()


@pytest.mark.parametrize("concurrency", [1, 16])
def test_killed_at_any_moment_it_goes_on_from_the_last_state(
    serve: Serve, archive: Archive, write_json: WriteJson, tmp_path: Path, concurrency: int
) -> None:
    """What a target is sure to have kept is what came before the last STATE: that alone has to do."""
    archive.add_bot("bot", 300, START_MS, START_MS + 20 * DAY)
    sandbox, url = serve(times="milliseconds", latency=0.01)
    config = write_json(settings(url, START_MS + 21 * DAY, concurrency=concurrency))

    def run(state: Json | None, kill_at: float) -> tuple[list[Json], bool]:
        path, log = tmp_path / "messages.jsonl", tmp_path / "log"
        path.touch()
        arguments: list[str | Path] = ["--config", config]
        if state is not None:
            arguments += ["--state", write_json(state, "state.json")]
        tap = start(arguments, path, log)
        while tap.is_alive():
            if path.stat().st_size > kill_at:
                tap.kill()
            time.sleep(0.001)
        complete = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        path.unlink()
        states = [index for index, message in enumerate(complete) if message["type"] == "STATE"]
        return complete[: states[-1] + 1] if states else [], tap.exitcode == 0

    clean, finished = run(None, float("inf"))
    assert finished
    assert lost(sandbox, Output(clean)) == []
    requests_of_a_clean_run = len(sandbox.requests)
    size = len("\n".join(map(json.dumps, clean)))

    sandbox.requests.clear()
    chance = random.Random(5)
    kept: list[Json] = []
    kills = 0
    while True:
        done = len([m for m in kept if m["type"] == "STATE"])
        state = next((m["value"] for m in reversed(kept) if m["type"] == "STATE"), None)
        messages, finished = run(state, chance.random() * size / 5 if kills < 8 else float("inf"))
        kept += messages
        if finished:
            break
        kills += 1
        assert len([m for m in kept if m["type"] == "STATE"]) >= done
    assert kills >= 5
    assert lost(sandbox, Output(kept)) == []
    assert len(sandbox.requests) < 3 * requests_of_a_clean_run
