"""Nothing lost, nothing begun again: windows, checkpoints, resuming, late changes."""

from __future__ import annotations

import gzip
import json
import logging
import random
import time
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from singer_sdk.exceptions import ConfigurationError
from werkzeug import Response

from sandbox.archive import DAY, Archive
from sandbox.check import differences, expected_rows, received_rows
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS
from tap_deepconverse.records.timestamps import format_time
from tap_deepconverse.tap import TapDeepConverse
from tests.support import FRESH, Collector, Json, Output, bookmark_in, config_for, run_command, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from sandbox.archive import Record
    from sandbox.server import Sandbox
    from tests.conftest import Serve, WriteJson

HOUR = DAY // 24
START_MS = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
READINGS = [
    {"select_by": select_by, "order": order, "end_inclusive": end_inclusive, "times": times}
    for select_by in SELECT_BY
    for order in ORDERS
    for end_inclusive in (True, False)
    for times in TIME_FORMATS
]
STREAMS = {"conversations": "lastActionAt", "messages": "time"}


def date(milliseconds: int) -> str:
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))


CONCURRENCY = [1]


@pytest.fixture(params=[1, 3, 16], ids="{} at once".format, autouse=True)
def concurrency(request: pytest.FixtureRequest) -> None:
    """All of this holds however many windows are read at once."""
    CONCURRENCY[0] = request.param


def settings(url: str, until: int = START_MS + 11 * DAY, **others: Any) -> dict[str, Any]:
    span = {"start_date": date(START_MS), "end_date": date(until)}
    small = {"window_days": 1, "page_size": 20, "concurrency": CONCURRENCY[0]}
    return config_for(url, **{**span, **small, **others})


def lost(sandbox: Sandbox, *outputs: Output) -> list[str]:
    """What a warehouse that received these outputs in turn would lack."""
    messages = Output([message for output in outputs for message in output.messages])
    return [
        f"{stream}: {difference}"
        for stream in STREAMS
        for difference in differences(
            expected_rows(sandbox, stream), received_rows(messages.records(stream), appended=True)
        )
    ]


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
    [
        # How times are written matters only by how fine they are, or else once.
        *((1, r) for r in READINGS if r["times"] == "fraction"),
        *((3, r) for r in READINGS if r["times"] == "seconds"),
        *((16, r) for r in READINGS if r["times"] in {"seconds", "fraction"} or r["order"] == ORDERS[0]),
    ],
    indirect=["concurrency"],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else f"{value} at once",
)
def test_three_runs_find_every_change_under_every_reading(
    serve: Serve, archive: Archive, reading: dict[str, Any]
) -> None:
    sandbox, url = serve(**reading)
    outputs: list[Output] = []
    state: Json | None = None
    for until in (START_MS + 10 * DAY, START_MS + 10 * DAY + 2 * HOUR, START_MS + 10 * DAY + 5 * HOUR):
        outputs.append(sync(settings(url, until), state))
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


@pytest.mark.parametrize("select_by", SELECT_BY)
@pytest.mark.parametrize("lookback_days", [0, 1, 30])
def test_no_state_is_ahead_of_what_was_emitted_before_it(
    serve: Serve, archive: Archive, select_by: str, lookback_days: int
) -> None:
    sandbox, url = serve(select_by=select_by, times="milliseconds")
    config = settings(url, lookback_days=lookback_days)
    first = sync(config)
    archive.live(archive.lived_until + 60_000)
    second = sync(config, first.state)
    messages = first.messages + second.messages
    assert_states_follow(sandbox, messages, select_by)
    for stream in STREAMS:
        bookmarks = [
            bookmark_in(m["value"], stream) or ""
            for m in messages
            if m["type"] == "STATE" and stream in m["value"]["bookmarks"]
        ]
        assert bookmarks == sorted(bookmarks)
        assert len(set(bookmarks)) >= (8 if CONCURRENCY[0] == 1 else 2)


def assert_states_follow(sandbox: Sandbox, messages: list[Json], select_by: str) -> None:
    """Hold each STATE against what came before it."""
    emitted: dict[str, set[str]] = {stream: set() for stream in STREAMS}
    for message in messages:
        if message["type"] == "RECORD":
            emitted[message["stream"]].add(message["record"]["_id"])
        if message["type"] != "STATE":
            continue
        for stream in STREAMS.keys() & message["value"]["bookmarks"].keys():
            bookmark = bookmark_in(message["value"], stream)
            selected_by = select_by.lower() if stream == "conversations" else "time"
            for key, row in expected_rows(sandbox, stream).items():
                if bookmark and format_time(row[selected_by]) < bookmark:
                    assert key in emitted[stream]


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
    assert with_nothing_found.state == until_the_pause.state


def test_a_bookmark_is_not_ahead_of_a_conversation_that_goes_on_after_the_window(
    serve: Serve, archive: Archive
) -> None:
    """By `startTime` a window may hold what changed after it: nothing is known of what began in between."""
    _, url = serve(select_by="startTime")
    first_day = [c for c in archive.conversations["bot"].values() if c["startTime"] < START_MS + DAY]
    talk_on(archive, first_day[0], START_MS + 9 * DAY)
    output = sync(settings(url, START_MS + 2 * DAY))
    assert output.bookmark("conversations") == date(START_MS + 2 * DAY)


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
    assert min(q["start_time"] for q in sandbox.requests if q["bot_name"] == "late") == str(START_MS // 1000)
    third = sync({**settings(url), "bot_names": ["late"]}, second.state)
    assert third.bookmark("conversations", "bot") == second.bookmark("conversations", "bot")


@pytest.mark.parametrize("minutes", [-7, 7])
@pytest.mark.parametrize("lookback_days", [0, 1])
def test_a_clock_that_is_off_loses_nothing(serve: Serve, archive: Archive, minutes: int, lookback_days: int) -> None:
    sandbox, url = serve()
    outputs: list[Output] = []
    state = None
    for _ in range(3):
        now = archive.lived_until
        outputs.append(sync(settings(url, now + minutes * 60_000, lookback_days=lookback_days), state))
        state = outputs[-1].state
        archive.live(now + 30_000)
    outputs.append(sync(settings(url, archive.lived_until + 1000, lookback_days=lookback_days), state))
    assert lost(sandbox, *outputs) == []


def test_an_end_before_the_bookmark_is_nothing_to_do(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sandbox, url = serve()
    state = sync(settings(url, START_MS + 9 * DAY)).state
    for until in (
        START_MS + 3 * DAY,
        int(datetime.fromisoformat(str(bookmark_in(state, "messages"))).timestamp() * 1000),
    ):
        asked = len(sandbox.requests)
        caplog.clear()
        again = sync(settings(url, until), state)
        assert again.state == state
        assert len(sandbox.requests) == asked
        assert "Bot 'bot', stream 'messages': nothing to do up to" in caplog.text


def test_a_start_in_the_future_is_nothing_to_do(serve: Serve) -> None:
    sandbox, url = serve()
    assert sync(config_for(url, start_date="2999-01-01")).records("messages") == []
    assert sandbox.requests == []


def test_a_start_after_the_bookmark_is_where_a_run_begins(serve: Serve) -> None:
    sandbox, url = serve()
    state = sync(settings(url, START_MS + 4 * DAY)).state
    sandbox.requests.clear()
    sync(settings(url, start_date=date(START_MS + 8 * DAY)), state)
    assert {query["start_time"] for query in sandbox.requests} >= {str((START_MS + 8 * DAY) // 1000)}
    assert min(int(query["start_time"]) for query in sandbox.requests) == (START_MS + 8 * DAY) // 1000


def test_a_run_begins_as_far_behind_the_bookmark_as_the_lookback_says(serve: Serve) -> None:
    sandbox, url = serve()
    state = sync(settings(url)).state
    bookmark = datetime.fromisoformat(str(bookmark_in(state, "messages"))).timestamp()
    for days, start in ((0, bookmark), (2, bookmark - 2 * 86_400), (5000, START_MS // 1000)):
        sandbox.requests.clear()
        sync(settings(url, lookback_days=days), state)
        assert min(int(q["start_time"]) for q in sandbox.requests if q["endpoint"] == "messages") == start


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


@pytest.mark.parametrize("select_by", SELECT_BY)
def test_what_changes_while_it_is_read_settles_nothing(
    serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture, select_by: str
) -> None:
    caplog.set_level(logging.INFO)
    now = int(time.time()) * 1000
    archive.begin("bot", now - HOUR)["lastActionAt"] = now + 60_000
    _, url = serve(select_by=select_by)
    sync(config_for(url, start_date=date(now - DAY), end_date=date(now)))
    assert "selects by" not in caplog.text


def test_the_log_sums_up_and_claims_nothing_untrue(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, url = serve()
    output = sync(settings(url, START_MS + 10 * DAY))
    count = len(output.records("messages"))
    said = f"Bot 'bot', stream 'messages': {count:,} records from 2026-03-01 00:00 to 2026-03-11 00:00 UTC in "
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


def test_a_batch_is_told_of_before_the_checkpoint_that_covers_it(serve: Serve, tmp_path: Path) -> None:
    sandbox, url = serve(times="milliseconds")
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tmp_path}"},
        "batch_size": 15,
    }
    output = sync({**settings(url), "batch_config": batches})
    messages: list[Json] = []
    for message in output.messages:
        if message["type"] == "BATCH":
            for uri in message["manifest"]:
                lines = gzip.decompress(Path(urlsplit(uri).path).read_bytes()).splitlines()
                messages += [
                    {"type": "RECORD", "stream": message["stream"], "record": json.loads(line)} for line in lines
                ]
        else:
            messages.append(message)
    assert_states_follow(sandbox, messages, "lastActionAt")
    assert lost(sandbox, Output(messages)) == []
    assert output.bookmark("messages") == sync(settings(url)).bookmark("messages")
    assert len({bookmark_in(state, "messages") for state in output.states if "messages" in state["bookmarks"]}) > 1


def test_a_batch_file_holds_what_is_selected_and_mapped(serve: Serve, archive: Archive, tmp_path: Path) -> None:
    _, url = serve()
    for conversation in archive.conversations["bot"].values():
        conversation["csat"] = 5
    maps = {"conversations": {"locale": None, "bot": "bot_name"}, "messages": {"__filter__": "type == 'UserInput'"}}
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] and entry["breadcrumb"][-1] in {"metadata", "additional_fields"}:
                entry["metadata"]["selected"] = False
    storage = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": f"file://{tmp_path}"}}
    writer = Collector()
    config = {**settings(url), "batch_config": storage, "stream_maps": maps}
    TapDeepConverse(config=config, catalog=catalog, message_writer=writer).sync_all()
    rows: dict[str, list[Json]] = {"conversations": [], "messages": []}
    for message in writer.output.messages:
        for uri in message.get("manifest", []):
            lines = gzip.decompress(Path(urlsplit(uri).path).read_bytes()).splitlines()
            rows[message["stream"]] += map(json.loads, lines)
    assert {row["_id"] for row in rows["conversations"]} == archive.conversations["bot"].keys()
    schemas = {m["stream"]: m["schema"]["properties"] for m in writer.output.messages if m["type"] == "SCHEMA"}
    assert all(row.keys() == schemas["conversations"].keys() for row in rows["conversations"])
    assert not {"locale", "metadata", "additional_fields", "csat"} & schemas["conversations"].keys()
    assert {row["type"] for row in rows["messages"]} == {"UserInput"}


def test_batch_files_are_of_one_stream(serve: Serve, tmp_path: Path) -> None:
    _, url = serve()
    batches = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": f"file://{tmp_path}"}}
    maps = {"copies": {"__source__": "conversations", "_id": "_id"}}
    with pytest.raises(ConfigurationError, match=r"`stream_maps` makes several streams of 'conversations'"):
        sync({**settings(url), "batch_config": batches, "stream_maps": maps})


def test_killed_at_any_moment_it_goes_on_from_the_last_state(
    serve: Serve, archive: Archive, write_json: WriteJson, tmp_path: Path
) -> None:
    """What a target is sure to have kept is what came before the last STATE: that alone has to do."""
    archive.add_bot("bot", 300, START_MS, START_MS + 20 * DAY)
    sandbox, url = serve(times="milliseconds", latency=0.02)
    config = write_json(settings(url, START_MS + 21 * DAY, requests_per_second=100))

    def run(state: Json | None, kill_at: float) -> tuple[list[Json], bool]:
        path = tmp_path / "messages.jsonl"
        path.touch()
        arguments = ["--config", str(config)]
        if state is not None:
            arguments += ["--state", str(write_json(state, "state.json"))]
        tap = FRESH.Process(target=run_command, args=[arguments, str(path)])
        tap.start()
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


def test_an_older_version_from_the_neighbouring_window_does_not_replace_a_newer_one(httpserver: HTTPServer) -> None:
    """A window and its neighbour both hold what lies on their edge, and may be read at different times."""

    def answer(request: Request) -> Response:
        is_first = request.args["start_time"] == str(START_MS // 1000)
        edge = START_MS // 1000 + 86_400
        at_the_edge = {"_id": "a", "startTime": edge, "lastActionAt": edge + (500 if is_first else 200)}
        elsewhere = {"_id": "b", "startTime": edge + 60, "lastActionAt": edge + 60}
        found = [at_the_edge] if is_first else [at_the_edge, elsewhere]
        return Response(json.dumps({"data": found, "cursor": None}))

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": [], "cursor": None})
    output = sync(settings(httpserver.url_for(""), START_MS + 2 * DAY))
    newest = output.newest("conversations")
    assert newest["a"]["lastActionAt"] == date(START_MS + DAY + 500_000)
    assert newest.keys() == {"a", "b"}


def test_an_end_in_the_future_is_now(serve: Serve) -> None:
    """Until then things go on, and nothing is whole."""
    sandbox, url = serve()
    before = time.time()
    sync(config_for(url, end_date="2999-01-01T00:00:00Z"))
    assert before <= max(int(query["end_time"]) for query in sandbox.requests) <= time.time() + 1
