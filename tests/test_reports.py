"""What public reports about other connectors found, tried on this one: the kinds that no other test shows."""

import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest
from flask import Response, request

from sandbox.archive import DAY, Archive
from sandbox.contract import CURSOR, DATA, STREAMS
from sandbox.faults import asked, error, page
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW, Serve, WriteJson
from tests.support import command, config_for, lost, sync

SPAN: dict[str, Any] = {"start_date": "2026-09-01", "end_date": "2026-09-23"}


def problems(log: str) -> list[str]:
    """The warnings and the errors of a log."""
    return [line for line in log.splitlines() if "| WARNING " in line or "| ERROR " in line]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stream_maps": {"conversations": {"__filter__": None}}}, "`__filter__` in `stream_maps` for 'conversations'"),
        ({"stream_maps": {"conversations": {"MetaData": "'x'"}}}, "makes 'MetaData' beside 'metadata'"),
        ({"stream_maps": {"messages": {"userInput.email": "'x'"}}}, "'userInput.email' beside 'userInput'"),
        ({"stream_maps": {"conversations": {"metadata": "None", "_id": "''"}}}, "makes `_id` null, which is a key"),
        ({"exclude_metadata": ["userInput.email"]}, "names 'userInput.email', which is a column"),
        ({"exclude_metadata": ["$.messages.outMsg.text"]}, "write `metadata.outmsg.text`"),
        ({"exclude_metadata": ["metadata['origin']"]}, "a path is written with dots only: 'metadata.origin'"),
    ],
)
def test_what_is_masked_in_name_only_is_refused(
    serve: Serve, write_json: WriteJson, settings: dict[str, Any], said: str
) -> None:
    _, url = serve()
    done = command("--config", write_json(config_for(url, **SPAN, **settings)))
    assert done.status == 1
    assert said in problems(done.log)[-1]
    assert not done.records("conversations")


def test_names_to_exclude_are_understood_or_told_of_at_the_end(
    serve: Serve, archive: Archive, write_json: WriteJson
) -> None:
    """A name that one stream has and the other has not is no warning."""
    for message in archive.messages["bot"].values():
        message |= {"metadata": {"own": 1, "kept": 2}, "sender": "Kim"}
    _, url = serve()
    paths = ["conversations.metadata.origin", "$.metadata.browser_userMeta.email", "browser_userMeta.plans"]
    done = command(
        "--config", write_json(config_for(url, exclude_metadata=[" __SYS_userip ", "OWN", "sender", *paths]))
    )
    assert done.status == 0
    (warning,) = problems(done.log)
    assert "'browser_userMeta.plans', which no record of this run has: did you mean 'browser_userMeta.plan'?" in warning
    for record in done.records("conversations"):
        assert record["metadata"].keys().isdisjoint({"__sys_userIp", "origin"})
        assert record["metadata"]["browser_userMeta"].keys() == {"plan"}
    for record in done.records("messages"):
        assert record["additional_fields"] == {"metadata": {"kept": 2}}


@pytest.mark.parametrize("column", ["", "locale", "additional_fields"])
def test_nothing_is_claimed_of_a_column_that_is_not_there(
    serve: Serve, archive: Archive, write_json: WriteJson, column: str
) -> None:
    for conversation in archive.conversations["bot"].values():
        conversation["rating"] = 5
    _, url = serve()
    made = TapDeepConverse(validate_config=False).catalog_dict
    for entry in made["streams"]:
        entry["schema"]["properties"].pop(column, None)
        entry["metadata"] = [each for each in entry["metadata"] if column not in each["breadcrumb"]]
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(made, "catalog.json"))
    assert done.status == 0
    assert ("they are in `additional_fields`" in done.log) == (column != "additional_fields")
    assert [*problems(done.log)] == [line for line in problems(done.log) if f"no column `{column}`" in line]
    assert ("--discover" in done.log) == (column == "locale")


def test_undocumented_fields_come_in_one_order(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    names = ["zeta", "alpha", "mid", "beta", "omega"]
    for conversation in archive.conversations["bot"].values():
        conversation.update(dict.fromkeys(names, 1))
    _, url = serve()
    config = write_json(config_for(url, exclude_metadata=["draft"], **SPAN))
    for seed in ("1", "2"):
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "tap_deepconverse", "--config", config],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert done.returncode == 0
        found = re.findall(r'"additional_fields":(\{"[a-z]+":1[^}]*\})', done.stdout)
        assert found
        assert {tuple(json.loads(each)) for each in found} == {tuple(names)}


def test_a_time_that_a_map_makes_is_written_as_the_schema_says(serve: Serve) -> None:
    _, url = serve()
    maps = {"began": "datetime.datetime.fromisoformat(startTime)", "day": "datetime.datetime(2025, 1, 1)"}
    records = sync(config_for(url, stream_maps={"conversations": maps}, **SPAN)).records("conversations")
    assert [record["began"] for record in records] == [record["startTime"] for record in records]
    assert {record["day"] for record in records} == {"2025-01-01T00:00:00.000000+00:00"}


@pytest.mark.parametrize(
    ("clock_behind", "settings", "words"),
    [
        (0, {}, "end_time must not be in the future"),
        (0, {"end_date": "2999-01-01"}, "end_time must not be in the future"),
        (40, {}, "end_time must not be in the future"),
        (40, {}, "end_time exceeds the current time"),
    ],
)
def test_an_end_ahead_of_the_server_s_clock_may_be_refused_whatever_it_says(
    serve: Serve, write_json: WriteJson, clock_behind: int, settings: dict[str, Any], words: str
) -> None:
    """An end in the future is now: until then things go on, and nothing is whole."""
    now = time.time()
    archive = Archive()
    archive.add_bot("bot", 50, int(now * 1000) - 10 * DAY, int(now * 1000) - DAY)
    sandbox, url = serve(archive, refuses_future=True, clock_behind=clock_behind)
    sandbox.fault = lambda answer: error(400, words) if answer.status_code == 400 else answer
    config = write_json(config_for(url, start_date="2026-09-01", **settings))
    assert command("--config", config, "--test").status == 0
    done = command("--config", config)
    assert done.status == 0
    assert max(int(query["end_time"]) for query in sandbox.requests) <= time.time() + 1
    assert lost(sandbox, done) == []
    said = problems(done.log)
    assert all("check this machine's clock" in line and "server's clock" in line for line in said)
    for stream in STREAMS:
        (partition,) = done.state["bookmarks"][stream]["partitions"]
        complete_until = datetime.fromisoformat(partition["complete_until"]).timestamp()
        assert now - 2 <= complete_until + clock_behind <= time.time()


def test_a_page_that_goes_on_may_say_so(serve: Serve) -> None:
    sandbox, url = serve()

    def say(answer: Response) -> Response:
        whole = answer.get_json()
        names = ("hasMore", "is_truncated", "truncated")
        signs = dict.fromkeys(names, whole[CURSOR] is not None)
        return page(whole[DATA], whole[CURSOR], **signs, status=0, message="OK")

    sandbox.fault = say
    assert lost(sandbox, sync(config_for(url, page_size=20, **SPAN))) == []


@pytest.mark.parametrize(
    ("behaviour", "page_size", "conversations"),
    [
        ({"per_query": 20}, 20, 400),  # no query has a second page
        ({"per_query": 1000}, 300, 3000),  # the last page of what a query returns is not a full one
        ({"cursor_seconds": 1e-9}, 20, 400),
        ({"start_inclusive": False, "per_query": 40}, 20, 400),
    ],
)
def test_what_a_query_does_not_return_others_do(
    serve: Serve, behaviour: dict[str, Any], page_size: int, conversations: int
) -> None:
    archive = Archive(seed=7)
    archive.add_bot("bot", conversations, NOW - 10 * DAY, NOW)
    sandbox, url = serve(archive, **behaviour)
    assert lost(sandbox, sync(config_for(url, page_size=page_size, **SPAN))) == []


@pytest.mark.parametrize("edges", ["days", "no start_time", "no end_time"])
def test_an_edge_that_is_not_kept_costs_few_requests(serve: Serve, edges: str) -> None:
    needed, url = serve()
    sync(config_for(url, page_size=20, **SPAN))
    sandbox, url = serve(edges=edges)
    assert lost(sandbox, sync(config_for(url, page_size=20, **SPAN))) == []
    assert len(sandbox.requests) <= 5 * len(needed.requests)


@pytest.mark.parametrize(("empty", "is_whole"), [(200, True), (300, False)])
def test_two_hundred_empty_pages_in_a_row_are_fine(
    serve: Serve, write_json: WriteJson, empty: int, *, is_whole: bool
) -> None:
    sandbox, url = serve()
    first: dict[tuple[str, str], Response] = {}

    def begin_with_empty_pages(answer: Response) -> Response:
        window, number = (request.path, asked()["start_time"]), int(asked().get("cursor", 0))
        if number == 0:
            first[window] = answer
        return page([], str(number + 1)) if number < empty else first[window]

    sandbox.fault = begin_with_empty_pages
    done = command("--config", write_json(config_for(url, start_date="2026-09-20", end_date="2026-09-21")))
    assert done.status == (0 if is_whole else 1)
    assert is_whole or "the API returned 250 pages in a row without records" in problems(done.log)[0]
    assert len(sandbox.requests) < 6 * 250
