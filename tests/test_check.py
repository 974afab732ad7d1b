"""`--test`: each bot and stream is asked, what comes is reported, and the report holds nothing of a conversation."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

from sandbox.archive import DAY
from sandbox.contract import CURSOR, DATA, ENDPOINTS, ID, STREAMS
from sandbox.faults import page, refuses, says
from sandbox.server import ORDERS, TIME_FORMATS, Order, TimeFormat
from tap_deepconverse.check import UNKNOWN, Check, ConnectionTestError
from tap_deepconverse.client import ExportStream
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW
from tests.leaks import OTHER_KEY, leaks
from tests.support import TAP, command, config_for

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Response

    from sandbox.archive import Archive
    from sandbox.faults import Fault
    from tests.conftest import Serve, WriteJson

END = {"end_date": "2026-09-21T14:13:20Z"}  # `NOW`
FIRST = STREAMS[0]
BOTH = len(STREAMS)
MANY = [f"bot-{number}" for number in range(20)]
TIMES = [(stream, name) for stream, endpoint in ENDPOINTS.items() for name in endpoint.times]
FORMS = {
    "seconds": "Unix seconds",
    "milliseconds": "Unix milliseconds",
    "fraction": "Unix seconds with a fraction",
    "digits": "Unix seconds as text",
    "iso": "ISO 8601 with an offset",
}


def check(url: str, *bot_names: str, **settings: Any) -> tuple[str, list[str]]:
    """Test in this process; gives the report and the errors."""
    tap = TapDeepConverse(config=config_for(url, *bot_names, **{**END, **settings}))
    test = Check([stream for stream in tap.streams.values() if isinstance(stream, ExportStream)], "0")
    test.run()
    errors = []
    try:
        test.require_success()
    except ConnectionTestError as error:
        errors = str(error).splitlines()
    assert not leaks(test.report() + "".join(errors))
    return test.report(), errors


def facts_in(report: str, stream: str) -> dict[str, str]:
    section = report.replace("`", "").split(f"\nstream {stream}\n")[1].split("\n\n", maxsplit=1)[0]
    return dict([part.strip() for part in line.split("  ") if part.strip()] for line in section.splitlines())


def of_first_stream(fault: Fault) -> Fault:
    return lambda answer: fault(answer) if request.endpoint == FIRST else answer


# --- Bots and streams ---


def test_each_bot_and_stream_is_asked(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    archive.add_bot("other", 30, NOW - 10 * DAY, NOW)
    sandbox, url = serve()
    config = write_json(config_for(url, "bot", "other", **END))
    done = command("--config", config, "--test")
    assert done.status == 0
    assert "key accepted: yes" in done.stdout.splitlines()
    rows = [line for line in done.stdout.splitlines() if line.endswith("  reachable")]
    assert [row.split()[:2] for row in rows] == [[bot, stream] for bot in ("bot", "other") for stream in STREAMS]
    assert all("2026-09-21 " in row and " s  " in row for row in rows)
    assert len({row.index("reachable") for row in rows}) == 1  # aligned
    assert len(sandbox.requests) == 2 * BOTH
    assert not [word for word in ("ERROR", "WARNING") if word in done.log]
    assert not leaks(done.stdout)
    identities = {*archive.conversations["bot"], *archive.messages["bot"]}
    assert not any(identity in done.stdout + done.log for identity in identities)


@pytest.mark.parametrize("empty", ["list", "204"])
def test_a_bot_without_records_is_asked_twice(serve: Serve, archive: Archive, empty: str) -> None:
    archive.add_bot("quiet", 0, NOW - DAY, NOW)
    sandbox, url = serve(empty=empty)
    report, errors = check(url, "quiet")
    assert errors == []
    assert "key accepted: yes" in report
    said = "reachable, but no records since 2026-08-22 14:13 UTC; check this bot's name in `bot_names`"
    assert report.count(said) == len(sandbox.requests) / 2 == BOTH
    assert facts_in(report, FIRST)[f"is a {CURSOR} there"] == ("null" if empty == "list" else UNKNOWN)


@pytest.mark.parametrize(
    ("name", "value", "first"), [("start_date", "2026-09-21T14:03:20Z", 600), ("window_days", 1, 86_400)]
)
def test_no_more_is_asked_for_than_a_sync_would(
    serve: Serve, archive: Archive, name: str, value: object, first: int
) -> None:
    archive.add_bot("quiet", 0, NOW - DAY, NOW)
    sandbox, url = serve()
    assert check(url, "quiet", page_size=7, **{name: value})[1] == []
    assert {(int(each["start_time"]), each["per_page"]) for each in sandbox.requests} == {(NOW // 1000 - first, "7")}


def test_an_end_in_the_future_is_replaced_by_the_servers_time(serve: Serve, archive: Archive) -> None:
    archive.add_bot("other", 0, NOW - DAY, NOW)
    sandbox, url = serve(refuses_future=True, clock_behind=3 * 86_400)
    assert check(url, "bot", "other", end_date=None)[1] == []
    refused, *ends = [int(each["end_time"]) for each in sandbox.requests]
    assert len({*ends}) == 1
    assert refused - ends[0] >= 3 * 86_400


def test_names_of_bots_break_no_line(serve: Serve, archive: Archive) -> None:
    archive.add_bot("Zoë\n\x1b[2J", 3, NOW - DAY, NOW)
    _, url = serve(forbidden=(FIRST,))
    report, errors = check(url, "Zoë\n\x1b[2J")
    assert len(errors) == 1
    assert report.count("Zoë??[2J") == BOTH
    assert "\x1b" not in report + errors[0]


# --- Errors: one bot's or everyone's, in one sentence each ---


def test_one_wrong_name_does_not_keep_the_others_from_being_asked(serve: Serve) -> None:
    _, url = serve()
    report, errors = check(url, "wrong", "bot")
    reason = "the API does not accept the request (HTTP 404: Bot not found); check this bot's name in `bot_names`"
    assert len(errors) == BOTH
    assert all(f"Bot 'wrong', stream '{stream}': {reason}" in "\n".join(errors) for stream in STREAMS)
    assert report.count(f"error: {reason}") == BOTH
    assert report.count("  reachable\n") == BOTH


def test_a_stream_that_the_key_may_not_read_is_one_error(serve: Serve) -> None:
    _, url = serve(forbidden=(FIRST,))
    report, (error,) = check(url)
    assert error.startswith(f"Bot 'bot', stream '{FIRST}': the API refuses the key (HTTP 403: Forbidden)")
    assert "key accepted: yes" in report
    assert report.count("  reachable\n") == BOTH - 1


SHAPE = json.dumps({"rows": [{ID: "a", "text": "Where is my order?"}], "next": "x", "customer1@example.com": 1})


@pytest.mark.parametrize(
    ("fault", "is_accepted", "reason"),
    [
        (refuses(401, f"no {OTHER_KEY}"), "no", "The API refuses the key (HTTP 401: no ***)"),
        (refuses(403, f"no {OTHER_KEY}"), "no", "The API refuses the key (HTTP 403: no ***)"),
        (says("<html><title>No</title></html>", 403), UNKNOWN, "The firewall in front of the API refuses the request"),
        (refuses(429, "Limit Exceeded", "86400"), UNKNOWN, "The API asks to wait 24.0 h (HTTP 429: Limit Exceeded)"),
        (refuses(503, "Busy"), UNKNOWN, "The API returned a temporary error (HTTP 503: Busy)"),
        (says(SHAPE), UNKNOWN, f"it has no list `{DATA}`; its keys: next, rows and 1 more"),
    ],
)  # fmt: skip
def test_what_all_have_is_told_once_and_soon(serve: Serve, fault: Fault, is_accepted: str, reason: str) -> None:
    sandbox, url = serve()
    sandbox.fault = fault
    for bot_names in (["bot"], MANY):
        report, (error,) = check(url, *bot_names, api_key=OTHER_KEY)
        assert reason in error
        assert f"key accepted: {is_accepted}" in report
        assert report.count("error: ") == min(3, BOTH * len(bot_names))
        assert {*facts_in(report, FIRST).values()} == {UNKNOWN}


def test_a_host_that_does_not_answer_is_told_after_three_timeouts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        report, (error,) = check(f"http://127.0.0.1:{silent.getsockname()[1]}", *MANY, request_timeout=1)
    assert "No response from the API in time" in error
    assert report.count("error: ") == 3


def test_a_closed_port_is_told_once_with_a_status(write_json: WriteJson) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = command("--config", write_json(config_for(url, *MANY)), "--test")
    assert done.status == 1
    assert done.stdout.count("  not asked\n") == len(MANY) * BOTH - 3
    assert done.log.count("he API's host refuses the connection") == 1
    assert "Traceback" not in done.log


@pytest.mark.parametrize("fault", [refuses(503, "Busy"), refuses(429, "Slow down", "1")])
def test_one_temporary_error_is_retried(serve: Serve, fault: Fault) -> None:
    sandbox, url = serve()
    numbers = count()
    sandbox.fault = lambda answer: fault(answer) if next(numbers) == 0 else answer
    assert check(url)[1] == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f'{{"{DATA}": [7]}}', "record 1 of the page is not an object"),
        (f'{{"{DATA}": [{{"{ID}": "a"}}, {{"locale": "en_us"}}]}}', f"record 2 of the page has no `{ID}`"),
        (f'{{"{DATA}": [{{"{ID}": "a", "time": NaN}}]}}', "record 1 of the page holds NaN"),
        (f'{{"{DATA}": [], "{CURSOR}": {{}}}}', f"the `{CURSOR}` in the response is not text"),
        ("<html>We are back soon</html>", "the response is not JSON"),
        ("", "the response is empty"),
    ],
)  # fmt: skip
def test_an_answer_that_a_sync_could_not_use_is_an_error(serve: Serve, body: str, reason: str) -> None:
    sandbox, url = serve()
    sandbox.fault = of_first_stream(says(body))
    report, (error,) = check(url)
    assert error.startswith(f"Bot 'bot', stream '{FIRST}': {reason}")
    assert f"error: {reason}" in report
    assert "  reachable\n" in report


@pytest.mark.parametrize("field", ['"locale": "\\ud83d\n"', '"time": 1e999', '"startTime": 1e999'])
def test_an_answer_that_a_sync_repairs_is_none(serve: Serve, field: str) -> None:
    sandbox, url = serve()
    sandbox.fault = says(f'\ufeff{{"{DATA}": [{{"{ID}": "a", {field}}}]}}')
    assert check(url)[1] == []


# --- What can be told of the open questions ---


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("times", TIME_FORMATS)
def test_what_is_told_is_right(serve: Serve, archive: Archive, order: Order, times: TimeFormat) -> None:
    archive.add_bot("busy", 150, NOW - DAY, NOW)
    _, url = serve(order=order, times=times)
    report, _ = check(url, "busy")
    by, _, way = order.partition("-")
    for stream, endpoint in ENDPOINTS.items():
        facts = facts_in(report, stream)
        assert {facts[f"how {name} is written"] for name in endpoint.times} == {FORMS[times]}
        assert facts[f"is a {CURSOR} there"] == "yes"
        assert facts["fields that no document names"] == facts[f"keys beside {DATA} and {CURSOR}"] == "none"
        name = endpoint.times[0] if by == "start" else endpoint.times[-1]
        assert f"{name} {way or 'in no order'}" in facts["does a page come in an order"].split(", ")


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([1_744_750_665, -5, 0], "Unix seconds"),
        ([1_744_750_665_000_000], "Unix microseconds"),
        ([1_744_750_665_000_000_000], "Unix nanoseconds"),
        (["1744750665000"], "Unix milliseconds as text"),
        (["1744750665.5"], "Unix seconds with a fraction as text"),
        (["2025-04-15T22:57:45", "2025-04-15"], "ISO 8601 without an offset"),
        (["2025-04-15T22:57:45", 1_744_750_665], "ISO 8601 without an offset, Unix seconds"),
        ([{"$date": 1_744_750_665_000}], "Unix milliseconds in an object $date"),
        ([{"$date": "2025-04-15t22:57:45z"}], "ISO 8601 with an offset in an object $date"),
        ([{"$numberLong": "1744750665000"}], "Unix milliseconds as text in an object $numberLong"),
        (["customer1@example.com", {"customer1@example.com": 1}, [7], True, 10**30], "not as a time"),
        ([None], UNKNOWN),
    ],
)  # fmt: skip
def test_how_times_are_written(serve: Serve, values: list[object], form: str) -> None:
    sandbox, url = serve()
    sandbox.fault = lambda _: page([{ID: str(i), **{name: each for _, name in TIMES}} for i, each in enumerate(values)])
    report, errors = check(url)
    assert errors == []
    assert {facts_in(report, stream)[f"how {name} is written"] for stream, name in TIMES} == {form}


def test_fields_and_keys_that_no_document_names_are_named(serve: Serve) -> None:
    sandbox, url = serve()
    record = {ID: "a", "author": "x", "csat": 5, "bot_name": "b", "customer1@example.com": 1}
    sandbox.fault = says(json.dumps({DATA: [record], "nextOne": "a8f5", "customer1@example.com": 7}))
    facts = facts_in(check(url)[0], FIRST)
    assert facts[f"is a {CURSOR} there"] == "no such key"
    assert facts[f"keys beside {DATA} and {CURSOR}"] == "nextOne and 1 more"
    assert facts["fields that no document names"] == "author, bot_name, csat and 1 more"


# --- The command ---


def test_all_is_the_same_and_schema_asks_nothing(serve: Serve, write_json: WriteJson) -> None:
    sandbox, url = serve()
    config = write_json(config_for(url, **END))
    done = command("--config", config, "--test=schema")
    assert done.status == 0
    assert [message["type"] for message in done.messages] == ["SCHEMA"] * BOTH
    assert sandbox.requests == []
    done = command("--config", config, "--test=all")
    assert done.status == 0
    assert "key accepted: yes" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(serve: Serve, write_json: WriteJson, number: signal.Signals) -> None:
    sandbox, url = serve()
    asked, over = threading.Event(), threading.Event()

    def hang(answer: Response) -> Response:
        asked.set()
        over.wait(60)
        return answer

    sandbox.fault = hang
    arguments: list[str | Path] = [TAP, "--config", write_json(config_for(url)), "--test"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tap:  # noqa: S603
        assert asked.wait(60)
        tap.send_signal(number)
        report, log = tap.communicate(timeout=50)
        over.set()
    assert tap.returncode == 128 + number
    assert report == b""
    assert b"Traceback" not in log
