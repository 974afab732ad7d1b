"""`--test`: each bot and stream is asked, what comes is reported, and the report holds nothing of a conversation."""

import json
import re
import socket
from typing import Any

import pytest
from flask import request

from sandbox.archive import DAY, Archive
from sandbox.contract import CURSOR, DATA, ENDPOINTS, ID, STREAMS
from sandbox.faults import Fault, page, refuses, says
from sandbox.server import ORDERS, TIME_FORMATS, Order, TimeFormat
from tap_deepconverse.check import check
from tap_deepconverse.client import ExportStream
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW, Serve, WriteJson
from tests.leaks import OTHER_KEY, leaks
from tests.support import command, config_for

END = {"end_date": "2026-09-21T14:13:20Z"}  # `NOW`
FIRST = STREAMS[0]
BOTH = len(STREAMS)
MANY = [f"bot-{number}" for number in range(20)]
TIMES = [(stream, name) for stream, endpoint in ENDPOINTS.items() for name in endpoint.times]
FORMS = ["9999999999", "9999999999999", "9999999999.9", '"9999999999"', '"9999-99-99T99:99:99.9+99:99"']
UNKNOWN = "could not be told"


def report_of(url: str, *bot_names: str, **settings: Any) -> tuple[str, list[str]]:
    """Test in this process; gives the report and the errors."""
    tap = TapDeepConverse(config=config_for(url, *bot_names, **{**END, **settings}))
    streams = [stream for stream in tap.streams.values() if isinstance(stream, ExportStream)]
    report, errors = check(streams, "0")
    assert not leaks(report + "".join(errors))
    return report, errors


def facts_in(report: str, stream: str) -> dict[str, str]:
    rows = [re.split("  +", line) for line in report.replace("`", "").split("question")[1].splitlines()[1:]]
    return {question: answer for name, question, answer in rows if name == stream}


def test_each_bot_and_stream_is_asked(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    archive.add_bot("other", 30, NOW - 10 * DAY, NOW)
    sandbox, url = serve()
    done = command("--config", write_json(config_for(url, "bot", "other", **END)), "--test=all")
    assert done.status == 0
    assert "key accepted: yes" in done.stdout.splitlines()
    rows = [line for line in done.stdout.splitlines() if line.endswith("  reachable")]
    assert [row.split()[:2] for row in rows] == [[bot, stream] for bot in ("bot", "other") for stream in STREAMS]
    assert all("2026-09-21 " in row and " s  " in row for row in rows)
    assert len(sandbox.requests) == 2 * BOTH
    assert not [word for word in ("ERROR", "WARNING") if word in done.log]
    assert not leaks(done.stdout)
    assert not any(identity in done.stdout + done.log for identity in archive.conversations["bot"])


@pytest.mark.parametrize(
    ("start_date", "since"),  # no more is asked for than a sync would
    [("2026-01-01T00:00:00Z", "2026-08-22 14:13"), ("2026-09-21T14:03:20Z", "2026-09-21 14:03")],
)
def test_a_bot_without_records_is_asked_twice(serve: Serve, archive: Archive, start_date: str, since: str) -> None:
    archive.add_bot("quiet", 0, NOW - DAY, NOW)
    sandbox, url = serve(empty="204")
    report, errors = report_of(url, "quiet", page_size=7, start_date=start_date)
    assert errors == []
    assert "key accepted: yes" in report
    said = f"reachable, but no records since {since} UTC; check this bot's name in `bot_names`"
    assert report.count(said) == len(sandbox.requests) / 2 == BOTH
    assert {each["per_page"] for each in sandbox.requests} == {"7"}


# --- Errors: one bot's or everyone's ---


def test_two_wrong_names_do_not_keep_the_others_from_being_asked(serve: Serve) -> None:
    _, url = serve()
    report, errors = report_of(url, "wrong", "other", "bot")
    reason = "the API does not accept the request (HTTP 404: Bot not found); check this bot's name in `bot_names`"
    names = [f"Bot '{bot}', stream '{stream}'" for bot in ("wrong", "other") for stream in STREAMS]
    assert {error.split(", then")[0] for error in errors} == {f"{name}: {reason}" for name in names}
    assert report.count(f"error: {reason}") == 2 * BOTH
    assert report.count("  reachable\n") == BOTH


def test_a_stream_that_the_key_may_not_read_is_one_error(serve: Serve, archive: Archive) -> None:
    name = "Zoë\n\x1b[2J"
    archive.add_bot(name, 3, NOW - DAY, NOW)
    _, url = serve(forbidden=(FIRST,))
    report, (error,) = report_of(url, name)
    assert error.startswith(f"Bot {name!r}, stream '{FIRST}': the API refuses the key (HTTP 403: Forbidden)")
    assert "key accepted: yes" in report
    assert report.count("  reachable\n") == BOTH - 1
    assert report.count(f"{name!r}"[1:-1]) == BOTH


@pytest.mark.parametrize(
    ("fault", "is_accepted", "most", "reason"),
    [
        (refuses(403, f"no {OTHER_KEY}"), "no", 10, "The API refuses the key (HTTP 403: no ***)"),
        (says("<html><title>No</title>", 403), UNKNOWN, 10, "The firewall in front of the API refuses the request"),
        (refuses(429, "Limit Exceeded", "86400"), UNKNOWN, 3, "The API asks to wait 24.0 h (HTTP 429: Limit Exceeded)"),
    ],
)  # fmt: skip
def test_what_all_have_is_told_once_and_soon(
    serve: Serve, fault: Fault, is_accepted: str, most: int, reason: str
) -> None:
    sandbox, url = serve()
    sandbox.fault = fault
    report, (error,) = report_of(url, *MANY, api_key=OTHER_KEY)
    assert reason in error
    assert re.search(rf"\(the same for all that were tried: ('bot-\d+'(, )?){{{most}}}\)", error)
    assert f"key accepted: {is_accepted}" in report
    assert report.count("error: ") == most


def test_a_host_that_does_not_answer_is_told_after_three_bots(write_json: WriteJson) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = command("--config", write_json(config_for(url, *MANY, request_timeout=1)), "--test")
    assert done.status == 1
    assert done.stdout.count("  not asked\n") == len(MANY) * BOTH - 3
    assert done.log.count("No response from the API in time") == 1
    assert "Traceback" not in done.log
    assert f"key accepted: {UNKNOWN}" in done.stdout


@pytest.mark.parametrize("status", [503, 403])
def test_one_temporary_error_is_retried_also_what_a_firewall_refuses_by_mistake(serve: Serve, status: int) -> None:
    sandbox, url = serve()
    faults = iter([refuses(status, "Busy")])
    sandbox.fault = lambda answer: fault(answer) if (fault := next(faults, None)) else answer
    assert report_of(url)[1] == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f'{{"{DATA}": [{{"{ID}": "a"}}, {{"locale": "en_us"}}]}}', f"record 2 of the page has no `{ID}`"),
        (f'{{"{DATA}": [], "{CURSOR}": {{}}}}', f"the `{CURSOR}` in the response is not text"),
    ],
)
def test_an_answer_that_a_sync_could_not_use_is_an_error(serve: Serve, body: str, reason: str) -> None:
    sandbox, url = serve()
    fault = says(body)
    sandbox.fault = lambda answer: fault(answer) if request.endpoint == FIRST else answer
    report, (error,) = report_of(url)
    assert error.startswith(f"Bot 'bot', stream '{FIRST}': {reason}")
    assert f"error: {reason}" in report


# --- What can be told of the open questions ---


@pytest.mark.parametrize(("order", "times", "form"), [*zip(ORDERS, TIME_FORMATS, FORMS, strict=True)])
def test_what_is_told_is_right(serve: Serve, archive: Archive, order: Order, times: TimeFormat, form: str) -> None:
    archive.add_bot("busy", 150, NOW - DAY, NOW)
    _, url = serve(order=order, times=times)
    report, _ = report_of(url, "busy")
    by, _, way = order.partition("-")
    for stream, endpoint in ENDPOINTS.items():
        facts = facts_in(report, stream)
        assert {facts[f"how {name} is written"] for name in endpoint.times} == {form}
        assert facts[f"is a {CURSOR} there"] == ("yes" if len(archive.records[stream]["busy"]) > 100 else "null")
        assert facts["fields that no document names"] == facts[f"keys beside {DATA} and {CURSOR}"] == "none"
        name = endpoint.times[0] if by == "start" else endpoint.times[-1]
        assert f"{name} {way or 'in no order'}" in facts["does a page come in an order"].split(", ")


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([1_744_750_665, -1_744_750_665], "-9999999999, 9999999999"),
        (["1744750665.25", "2025-04-15"], '"9999-99-99", "9999999999.9"'),
        ([{"$date": "2025-04-15t22:57:45z"}], '{"$date": "9999-99-99t99:99:99z"}'),
        (["customer1@example.com", {"customer1@example.com": 1}, [7], True, 10**30], "not as a time"),
    ],
)
def test_how_times_are_written(serve: Serve, values: list[object], form: str) -> None:
    sandbox, url = serve()
    sandbox.fault = lambda _: page([{ID: str(i), **{name: each for _, name in TIMES}} for i, each in enumerate(values)])
    report, errors = report_of(url)
    assert errors == []
    assert {facts_in(report, stream)[f"how {name} is written"] for stream, name in TIMES} == {form}


def test_fields_and_keys_that_no_document_names_are_named(serve: Serve) -> None:
    sandbox, url = serve()
    record = {ID: "a", "author": "x", "csat": 5, "bot_name": "b", "customer1@example.com": 1}
    sandbox.fault = says(json.dumps({DATA: [record], "nextOne": "a8f5", "customer1@example.com": 7}))
    facts = facts_in(report_of(url)[0], FIRST)
    assert facts[f"is a {CURSOR} there"] == "no such key"
    assert facts[f"keys beside {DATA} and {CURSOR}"] == "nextOne, …"
    assert facts["fields that no document names"] == "author, bot_name, csat, …"
