"""What the documentation leaves open may be as it likes: a run ends whole, or with one sentence, and soon."""

import threading
from typing import Any

import pytest
from flask import Response, jsonify
from singer_sdk.exceptions import FatalAPIError

from sandbox.archive import DAY, Archive
from sandbox.contract import CURSOR, DATA, STREAMS
from sandbox.faults import PARTS, EveryNth, Fault, asked, closes, error, half_of_the_records, nothing_but, page
from sandbox.server import Sandbox
from tests.conftest import NOW, Serve
from tests.support import Collector, config_for, lost, patience, run_into, sync

SPAN: dict[str, Any] = {"start_date": "2026-09-01", "end_date": "2026-09-23", "window_days": 30}


def end_after(requests: int, sandbox: Sandbox, fault: Fault = lambda answer: answer) -> Fault:
    """Refuse everything after so many requests, so that a run that would never end does."""
    return lambda answer: fault(answer) if len(sandbox.requests) < requests else error(403, "Enough")


@pytest.fixture
def archive() -> Archive:
    """Ten days, with something exactly at midnight and at the run's ends."""
    archive = Archive(seed=7)
    archive.add_bot("bot", 200, NOW - 10 * DAY, NOW)
    for day in range(10):
        midnight = (NOW // DAY - day) * DAY
        for _ in range(5):
            archive.say("bot", archive.begin("bot", midnight), midnight, {"outMsg": "!"})
    archive.add_bot("quiet", 0, NOW - DAY, NOW)
    return archive


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize(
    "behaviour",
    [
        {"start_inclusive": False, "end_inclusive": False},
        {"start_inclusive": True, "end_inclusive": True},
        {"start_inclusive": False, "end_inclusive": True},
        {"per_query": 60},
        {"per_page": 10},
        {"empty": "204"},
        {"empty": "null"},
        {"empty": "missing"},
        {"hiccup": 1},  # at the first request
        {"hiccup": 9},
        {"cursor": "once"},
        {"cursor": "with a cookie"},
        {"edges": "days"},
    ],
    ids=str,
)
def test_whatever_it_does_all_comes(serve: Serve, behaviour: dict[str, Any], concurrency: int) -> None:
    sandbox, url = serve(**behaviour)
    sandbox.fault = end_after(500, sandbox)
    with patience(first_wait=0.01, longest_wait=0.05):
        output = sync(config_for(url, "bot", "quiet", page_size=20, concurrency=concurrency, **SPAN))
    assert lost(sandbox, output) == []


def goes_wrong_after_a_page(status: int) -> Fault:
    return lambda answer: error(status, "no") if "cursor" in asked() else answer


def says_of_a_query_that_is_cut_short(**signs: Any) -> Fault:
    """Say at the end of each query of three full pages that there is more."""

    def say(answer: Response) -> Response:
        records = (answer.get_json() or {}).get(DATA)
        return page(records, None, **signs) if records and len(records) == 20 and is_end(answer) else answer

    def is_end(answer: Response) -> bool:
        return answer.get_json()[CURSOR] is None

    return say


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize(
    ("fault", "behaviour"),
    [
        (goes_wrong_after_a_page(500), {}),
        (goes_wrong_after_a_page(403), {}),
        (goes_wrong_after_a_page(404), {}),
        (EveryNth(5, closes), {"cursor": "once"}),  # which is lost with its response
        (says_of_a_query_that_is_cut_short(hasMore=True), {"per_query": 60}),
        (says_of_a_query_that_is_cut_short(total=10**6), {"per_query": 60}),
    ],
)
def test_a_query_that_cannot_go_on_is_split(
    serve: Serve, fault: Fault, behaviour: dict[str, Any], concurrency: int
) -> None:
    sandbox, url = serve(**behaviour)
    sandbox.fault = end_after(1000, sandbox, fault)
    with patience(first_wait=0.001, longest_wait=0.005):
        output = sync(config_for(url, "bot", "quiet", page_size=20, concurrency=concurrency, **SPAN))
    assert lost(sandbox, output) == []


def test_an_end_without_the_key_of_a_cursor_costs_few_requests(serve: Serve) -> None:
    sandbox, url = serve()
    sandbox.fault = lambda answer: answer if answer.get_json()[CURSOR] else jsonify({DATA: answer.get_json()[DATA]})
    output = sync(config_for(url, **SPAN))
    assert lost(sandbox, output) == []
    assert len(sandbox.requests) <= 40


@pytest.mark.parametrize(
    "fault",
    [
        *PARTS.values(),
        half_of_the_records(timedOut=True, is_last=True),
        half_of_the_records(hasNext=True, is_last=True),
        half_of_the_records(truncated=True, is_last=True),
        half_of_the_records(totalCount=10**6, is_last=True),
        half_of_the_records(total_count=10**6, is_last=True),
        half_of_the_records(status=500, is_last=True),
        half_of_the_records(statusCode=503, is_last=True),
        half_of_the_records(ok=0, is_last=True),
        nothing_but(errorMessage="Task timed out after 29.00 seconds"),
    ],
)
def test_a_page_that_says_that_it_is_not_whole_is_asked_for_again(serve: Serve, fault: Fault) -> None:
    sandbox, url = serve()
    sandbox.fault = end_after(500, sandbox, EveryNth(3, fault))
    with patience(first_wait=0.01, longest_wait=0.05):
        assert lost(sandbox, sync(config_for(url, "bot", "quiet", page_size=20, **SPAN))) == []


def test_no_connection_is_left_open(serve: Serve) -> None:
    """Each is served by a thread, which ends with it."""
    _, url = serve()
    before = set(threading.enumerate())
    sync(config_for(url, page_size=20, **SPAN))
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("forbidden", [["other"], ["messages"], ["other", "another", "third", "fourth"]], ids=str)
def test_what_the_key_may_not_read_keeps_nothing_else_from_being_read(
    serve: Serve, archive: Archive, forbidden: list[str]
) -> None:
    for name in ("other", "another", "third", "fourth"):
        archive.add_bot(name, 20, NOW - 10 * DAY, NOW)
    _, url = serve(forbidden=forbidden)
    writer = Collector()
    with patience(first_wait=0.01, longest_wait=0.05, total=1), pytest.raises(FatalAPIError, match="HTTP 403"):
        run_into(writer, config_for(url, "other", "another", "third", "fourth", "bot", **SPAN))
    for stream in {*STREAMS} - {*forbidden}:
        assert writer.output.newest(stream).keys() >= archive.records[stream]["bot"].keys()


@pytest.mark.parametrize(
    "behaviour",
    [
        {"cursor": "of empty pages"},
        {"cursor": "of the same page"},
        {"cursor": "object"},
        {"cursor_seconds": 1e-9, "edges": "no end_time"},
    ],
    ids=str,
)
def test_what_would_never_end_ends_soon(serve: Serve, behaviour: dict[str, Any]) -> None:
    """Whole, or with one sentence."""
    sandbox, url = serve(**behaviour)
    sandbox.fault = end_after(1000, sandbox)
    writer = Collector()
    with patience(first_wait=0.01, longest_wait=0.05, total=1):
        try:
            run_into(writer, config_for(url, "bot", page_size=20, **SPAN))
        except FatalAPIError:
            pass
        else:
            assert lost(sandbox, writer.output) == []
    assert len(sandbox.requests) < 1000


@pytest.mark.parametrize("year", [-1, 1, 1899, 2027])
def test_a_time_that_cannot_be_moves_no_bookmark(serve: Serve, archive: Archive, year: int) -> None:
    odd = (year - 1970) * 31_556_952_000
    archive.conversations["bot"]["0" * 32] = {"_id": "0" * 32, "startTime": NOW - 9 * DAY, "lastActionAt": odd}
    sandbox, url = serve(select_by="startTime")
    output = sync(config_for(url, **SPAN))
    assert output.newest("conversations").keys() == archive.conversations["bot"].keys()
    assert "2026-09-20" < str(output.bookmark("conversations")) < "2026-09-23"
    archive.live(archive.lived_until + 20_000)
    assert output.newest("messages").keys() <= archive.messages["bot"].keys()
    again = sync(config_for(url, **SPAN), output.state)
    assert {*output.newest("conversations"), *again.newest("conversations")} == archive.conversations["bot"].keys()
    assert sandbox.requests
