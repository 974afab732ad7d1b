"""`--test`: each bot and stream is asked, what comes is reported, and the report holds nothing of a conversation."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import threading
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from werkzeug import Response

from sandbox.archive import DAY, Archive
from sandbox.faults import refuses
from sandbox.server import KEY, ORDERS, SELECT_BY, TIME_FORMATS, Behaviour, Order, Sandbox, SelectBy, TimeFormat
from tap_deepconverse.connection_test import ConnectionTest
from tap_deepconverse.streams import Conversations, Messages
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW
from tests.leaks import OTHER_KEY, leaks
from tests.support import TAP, Command, command, config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from tests.conftest import Serve, WriteJson

    Run = Callable[..., Command]

UNTOLD = "could not be told"
PATH = "/conversations/export/v1/"
END = {"end_date": "2026-09-21T14:13:20Z"}  # the archive's `NOW`
FORMS = {
    "seconds": "Unix seconds",
    "milliseconds": "Unix milliseconds",
    "fraction": "Unix seconds with a fraction",
    "digits": "Unix seconds as text",
    "iso": "ISO 8601 with an offset",
}


def report_of(url: str, *bot_names: str, **settings: Any) -> str:
    """Test in this process."""
    tap = TapDeepConverse(config=config_for(url, *bot_names, **{**END, **settings}))
    test = ConnectionTest((Conversations(tap), Messages(tap)), "0")
    test.run()
    return test.report()


def facts_in(report: str, stream: str) -> dict[str, str]:
    section = report.split(f"\nstream {stream}\n")[1].split("\n\n", maxsplit=1)[0]
    pairs = [[part.strip() for part in line.strip().split("  ") if part.strip()] for line in section.splitlines()]
    return {title.replace("`", ""): answer for title, answer in pairs}


@pytest.fixture
def run(write_json: WriteJson) -> Run:
    """Run `--test` as a command; its report must hold no key and nothing of a conversation."""

    def test(url: str, *bot_names: str, **settings: Any) -> Command:
        done = command("--config", write_json(config_for(url, *bot_names, **settings)), "--test")
        assert not leaks(done.stdout)
        assert "Traceback" not in done.log
        return done

    return test


# --- What can be told of the open questions ---


@pytest.mark.parametrize(("select_by", "order", "times"), [*product(SELECT_BY, ORDERS, TIME_FORMATS)])
@pytest.mark.parametrize("end_inclusive", [True, False])
def test_what_is_told_is_right(
    serve: Serve, *, select_by: SelectBy, order: Order, times: TimeFormat, end_inclusive: bool
) -> None:
    _, url = serve(select_by=select_by, order=order, times=times, end_inclusive=end_inclusive)
    report = report_of(url)
    by, _, way = order.partition("-")
    for stream, fields in (("conversations", ["startTime", "lastActionAt"]), ("messages", ["time"])):
        facts = facts_in(report, stream)
        assert all(facts[f"how {name} is written"] == FORMS[times] for name in fields)
        assert facts["is a cursor there"] == "yes"
        end = "yes" if end_inclusive else "no"
        # Of times with a fraction, hardly any lies on an edge.
        is_whole = times in {"seconds", "digits"}
        assert facts["is end_time inclusive"] in ({end} if is_whole else {end, UNTOLD})
        assert facts["is start_time inclusive"] in ({"yes"} if is_whole else {"yes", UNTOLD})
        if stream == "conversations":
            assert facts["which time the API selects by"] == f"`{select_by}`"
        told = facts["does a page come in an order"]
        if order == "none":
            assert told == "no"
        else:
            field = "time" if stream == "messages" else {"start": "startTime", "action": "lastActionAt"}[by]
            assert f"{way} by `{field}`" in told
            assert told.startswith("yes, ")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("end_inclusive", [True, False])
@pytest.mark.parametrize("times", ["milliseconds", "iso", "fraction"])
def test_edges_are_told_where_a_time_is_a_whole_second(
    serve: Serve, order: Order, times: TimeFormat, *, end_inclusive: bool
) -> None:
    archive = Archive(seed=3)
    archive.add_bot("bot", 12, NOW - 10 * DAY, NOW - DAY)
    for conversation in [*archive.conversations["bot"].values()][:1]:
        conversation["startTime"] = conversation["lastActionAt"] = NOW - DAY // 2
    _, url = serve(archive, order=order, times=times, end_inclusive=end_inclusive)
    facts = facts_in(report_of(url), "conversations")
    assert facts["is end_time inclusive"] == ("yes" if end_inclusive else "no")
    assert facts["is start_time inclusive"] == "yes"


@pytest.mark.parametrize(("conversations", "seed"), [*product([1, 2, 3, 6], range(4))])
@pytest.mark.parametrize(("select_by", "order"), [*product(SELECT_BY, ["none", "action-rising", "start-falling"])])
def test_few_records_tell_nothing_wrong(
    serve: Serve, conversations: int, seed: int, select_by: SelectBy, order: Order
) -> None:
    archive = Archive(seed=seed)
    archive.add_bot("bot", conversations, NOW - 10 * DAY, NOW)
    _, url = serve(archive, select_by=select_by, order=order, end_inclusive=bool(seed % 2))
    facts = facts_in(report_of(url), "conversations")
    assert facts["is end_time inclusive"] in {UNTOLD, "yes" if seed % 2 else "no"}
    assert facts["which time the API selects by"] in {UNTOLD, f"`{select_by}`"}
    told = facts["does a page come in an order"]
    by, _, way = order.partition("-")
    right = f"{way} by `{'startTime' if by == 'start' else 'lastActionAt'}`"
    assert told in {UNTOLD, "no"} if order == "none" else told == UNTOLD or right in told


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(("select_by", "end_inclusive"), [*product(SELECT_BY, [True, False])])
def test_what_changes_in_the_meantime_tells_nothing_wrong(
    select_by: SelectBy, nth: int, *, end_inclusive: bool
) -> None:
    archive = Archive(seed=4)
    now = int(time.time()) * 1000
    archive.add_bot("bot", 30, now - DAY, now)
    behaviour = Behaviour(select_by, end_inclusive=end_inclusive, requests_per_second=0)
    sandbox = Sandbox(archive, behaviour)

    def goes_on(answer: Response) -> Response:
        if len(sandbox.requests) == 2:  # the first day is found; from here on a part of it is of another time
            for conversation in [*archive.conversations["bot"].values()][::nth]:
                archive.say("bot", conversation, now, {"type": "UserInput", "userInput": "One more thing"})
        return answer

    sandbox.fault = goes_on  # type: ignore[assignment]
    with sandbox.running() as url:
        facts = facts_in(report_of(url, end_date=None), "conversations")
    assert facts["is end_time inclusive"] in {UNTOLD, "yes" if end_inclusive else "no"}
    assert facts["is start_time inclusive"] in {UNTOLD, "yes"}
    assert facts["which time the API selects by"] in {UNTOLD, f"`{select_by}`"}


class Answers:
    """Answers each request with a page that is made for it."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self._httpserver = httpserver
        self.url = httpserver.url_for("")

    def come(self, stream: str, answer: Callable[[Request], Response]) -> None:
        self._httpserver.expect_request(f"{PATH}{stream}").respond_with_handler(answer)

    def are(self, *records: dict[str, Any], **rest: Any) -> None:
        for stream in ("conversations", "messages"):
            self._httpserver.expect_request(f"{PATH}{stream}").respond_with_json({"data": records, **rest})

    @property
    def asked(self) -> list[Request]:
        return [request for request, _ in self._httpserver.log]


@pytest.fixture
def answers(httpserver: HTTPServer) -> Answers:
    return Answers(httpserver)


def records_of(number: int) -> list[dict[str, Any]]:
    begin = NOW // 1000 - 3000
    return [{"_id": f"{i:032x}", "startTime": begin + i, "lastActionAt": begin + i, "time": i} for i in range(number)]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (1_744_750_665, "Unix seconds"),
        (-5, "Unix seconds"),
        (1_744_750_665_000_000, "Unix microseconds"),
        (1_744_750_665_000_000_000, "Unix nanoseconds"),
        ("1744750665000", "Unix milliseconds as text"),
        ("1744750665.5", "Unix seconds with a fraction as text"),
        ("2025-04-15T22:57:45", "ISO 8601 without an offset"),
        ("2025-04-15T22:57:45Z", "ISO 8601 with an offset"),
        ("2025-04-15", "ISO 8601 without an offset"),
        ({"$date": 1_744_750_665_000}, "Unix milliseconds in an object `$date`"),
        ({"$date": "2025-04-15T22:57:45Z"}, "ISO 8601 with an offset in an object `$date`"),
        ({"$numberLong": "1744750665000"}, "Unix milliseconds as text in an object `$numberLong`"),
        ("customer1@example.com", "not as a time"),
        ({"customer1@example.com": 1}, "not as a time"),
        ([7], "not as a time"),
        (True, "not as a time"),
        (None, UNTOLD),
    ],
)  # fmt: skip
def test_how_times_are_written(answers: Answers, value: object, form: str) -> None:
    answers.are({"_id": "a", "time": value}, {"_id": "b", "time": value}, cursor=None)
    report = report_of(answers.url)
    assert facts_in(report, "messages")["how time is written"] == form
    assert not leaks(report)


def test_several_forms_are_all_named(answers: Answers) -> None:
    answers.are({"_id": "a", "time": 1_744_750_665}, {"_id": "b", "time": "2025-04-15T22:57:45"}, cursor=None)
    told = facts_in(report_of(answers.url), "messages")["how time is written"]
    assert told == "ISO 8601 without an offset, Unix seconds"


def test_a_missing_cursor_is_told(answers: Answers) -> None:
    answers.are(*records_of(5), nextCursor="a8f5")
    facts = facts_in(report_of(answers.url), "conversations")
    assert facts["is a cursor there"] == "no"
    assert facts["other keys beside data"] == "nextCursor"


def test_a_cursor_that_is_left_out_at_the_end_is_told(answers: Answers) -> None:
    def answer(request: Request) -> Response:
        records, per_page = records_of(5), int(request.args["per_page"])
        return Response(json.dumps({"data": records[:per_page], **({"cursor": "x"} if per_page < 5 else {})}))

    answers.come("conversations", answer)
    answers.come("messages", answer)
    assert facts_in(report_of(answers.url), "messages")["is a cursor there"] == "yes, but not in each answer"


def test_answers_that_agree_with_no_reading_tell_nothing(answers: Answers) -> None:
    """Such as an API that takes no notice of the window."""
    answers.are(*records_of(5), cursor=None)
    facts = facts_in(report_of(answers.url), "conversations")
    assert {facts[f"is {edge}_time inclusive"] for edge in ("start", "end")} == {UNTOLD}
    assert facts["which time the API selects by"] == UNTOLD


def test_fields_that_no_document_names_are_named(run: Run, answers: Answers) -> None:
    data = {"_id": "a", "sender": "x", "csat": 5, "bot_name": "b", "customer1@example.com": 1, OTHER_KEY: 1}
    answers.are(data, cursor=None, **{OTHER_KEY: 2, "total": 7})
    done = run(answers.url, api_key=OTHER_KEY)
    assert done.status == 0
    facts = facts_in(done.stdout, "messages")
    assert facts["fields that no document names"].startswith("bot_name, csat, sender and ")
    assert facts["other keys beside data"] == "total and 1 more"
    assert facts_in(done.stdout, "conversations").keys() > {"how startTime is written", "how lastActionAt is written"}


# --- Bots and streams ---


def test_each_bot_and_stream_is_asked(serve: Serve, archive: Archive, run: Run) -> None:
    archive.add_bot("other", 30, NOW - 10 * DAY, NOW)
    sandbox, url = serve()
    done = run(url, "bot", "other", **END)
    assert done.status == 0
    lines = done.stdout.splitlines()
    assert "key accepted: yes" in lines
    rows = [line for line in lines if line.endswith("  reachable")]
    assert [row.split()[:2] for row in rows] == [
        [b, s] for b in ("bot", "other") for s in ("conversations", "messages")
    ]
    assert all("2026-09-21 " in row and " s  " in row for row in rows)
    assert len({row.index("2026-09-21") for row in rows} | {row.index("reachable") for row in rows}) == 2  # aligned
    assert len(sandbox.requests) < 50
    assert "ERROR" not in done.log
    assert "WARNING" not in done.log
    assert '"failed"' not in done.log
    identities = {*archive.conversations["bot"], *archive.messages["bot"]}
    assert not any(identity in done.stdout + done.log for identity in identities)


def test_a_bot_without_records_is_a_warning(serve: Serve, archive: Archive, run: Run) -> None:
    archive.add_bot("quiet", 0, NOW - DAY, NOW)
    sandbox, url = serve()
    done = run(url, "quiet", "bot", **END)
    assert done.status == 0
    assert done.stdout.count("reachable, but no records since 2026-01-01 00:00 UTC") == 2
    assert "Bot 'quiet', stream 'messages': reachable, but no records since 2026-01-01 00:00 UTC; check" in done.log
    asked = [request for request in sandbox.requests if request["bot_name"] == "quiet"]
    assert len(asked) == 8


def test_an_old_conversation_is_found(serve: Serve, archive: Archive, run: Run) -> None:
    archive.add_bot("old", 1, NOW - 200 * DAY, NOW - 199 * DAY)
    _, url = serve()
    done = run(url, "old", **END)
    assert done.status == 0
    assert "no records" not in done.stdout


def test_no_record_is_asked_for_from_before_the_start_date(serve: Serve, run: Run) -> None:
    sandbox, url = serve()
    start = NOW // 1000 - 600
    done = run(url, start_date="2026-09-21T14:03:20Z", **END)
    assert done.status == 0
    assert min(int(request["start_time"]) for request in sandbox.requests) >= start - 1


def test_one_wrong_name_does_not_keep_the_others_from_being_asked(serve: Serve, run: Run) -> None:
    _, url = serve()
    done = run(url, "wrong", "bot", **END)
    assert done.status == 1
    assert done.stdout.count("error: ") == 2
    assert done.stdout.count("  reachable") == 2
    for stream in ("conversations", "messages"):
        said = f"Bot 'wrong', stream '{stream}': the API does not accept the request (HTTP 404: Bot not found)"
        assert done.log.count(said) == 1


def test_one_bot_that_breaks_the_server_does_not_keep_the_others_from_being_asked(
    serve: Serve, archive: Archive, run: Run
) -> None:
    archive.add_bot("broken", 1, NOW - DAY, NOW)
    sandbox, url = serve()
    sandbox.fault = lambda answer: (
        refuses(500, "Oops")(answer) if sandbox.requests[-1]["bot_name"] == "broken" else answer
    )
    done = run(url, "broken", "bot", **END)
    assert done.status == 1
    assert done.stdout.count("the API returned a temporary error (HTTP 500: Oops)") == 2
    assert done.stdout.count("  reachable") == 2
    assert len([request for request in sandbox.requests if request["bot_name"] == "broken"]) == 4


def test_one_temporary_error_is_retried(serve: Serve, run: Run) -> None:
    sandbox, url = serve()
    sandbox.fault = lambda answer: refuses(503, "Busy")(answer) if len(sandbox.requests) == 1 else answer
    assert run(url, **END).status == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_said_after_one_request(run: Run, httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request(f"{PATH}conversations").respond_with_data(f'{{"message": "no {OTHER_KEY}"}}', status)
    done = run(httpserver.url_for(""), "a", "b", api_key=OTHER_KEY)
    assert done.status == 1
    assert "key accepted: no" in done.stdout
    assert done.stdout.count("not asked") == 3
    assert set(facts_in(done.stdout, "conversations").values()) == {UNTOLD}
    assert "Bot 'a', stream 'conversations': the API refuses the key" in done.log
    assert len(httpserver.log) == 1


def test_a_bot_that_the_key_does_not_give_is_that_bots(serve: Serve, archive: Archive, run: Run) -> None:
    archive.add_bot("foreign", 1, NOW - DAY, NOW)
    sandbox, url = serve()
    sandbox.fault = lambda answer: (
        refuses(403, "Forbidden")(answer) if sandbox.requests[-1]["bot_name"] == "foreign" else answer
    )
    done = run(url, "bot", "foreign", "bot", **END)
    assert done.status == 1
    assert "key accepted: yes" in done.stdout
    assert done.stdout.count("error: the API refuses the key") == 2


MANY = [f"bot-{number}" for number in range(20)]


@pytest.fixture
def closed() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_closed_port_is_said_soon_and_once(run: Run, closed: str) -> None:
    began = time.monotonic()
    done = run(closed, *MANY)
    assert time.monotonic() - began < 5
    assert done.status == 1
    assert f"key accepted: {UNTOLD}" in done.stdout
    assert done.log.count("the API's host refuses the connection") == 1


def test_a_certificate_that_is_not_valid_is_said_once(archive: Archive, run: Run) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Sandbox(archive).running(ssl_context=context) as url:
        done = run(url, *MANY)
    assert done.status == 1
    assert done.log.count("the certificate of the API's host is not valid here") == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_host_that_does_not_answer_is_said_after_one_timeout(run: Run, silent: str) -> None:
    began = time.monotonic()
    done = run(silent, *MANY, request_timeout=1)
    assert time.monotonic() - began < 5
    assert done.status == 1
    assert done.log.count("no response from the API in time") == 1


def test_an_outage_behind_the_gateway_is_said_soon(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"{PATH}conversations").respond_with_data("", 503)
    httpserver.expect_request(f"{PATH}messages").respond_with_json({"data": [], "cursor": None})
    began = time.monotonic()
    done = run(httpserver.url_for(""), *MANY)
    assert time.monotonic() - began < 15
    assert done.status == 1
    assert len([1 for request, _ in httpserver.log if request.path.endswith("conversations")]) == 6
    said = "Stream 'conversations': 3 temporary errors in a row, so the bots after 'bot-2' were not asked."
    assert done.log.count(said) == 1
    assert done.stdout.count("not asked") == 17


def test_a_used_up_quota_ends_it(run: Run, httpserver: HTTPServer) -> None:
    refusal = Response('{"message": "Limit Exceeded"}', 429, {"Retry-After": "86400"})
    httpserver.expect_request(f"{PATH}conversations").respond_with_response(refusal)
    done = run(httpserver.url_for(""), *MANY)
    assert done.status == 1
    assert "Limit Exceeded" in done.log
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>We are back soon</html>", "the response is not JSON"),
        ('{"message": "no"}', "the response is not a page"),
        ('{"data": [7]}', "record 1 of the page is not an object"),
        ('{"data": [{"_id": "a"}, {"locale": "en_us"}]}', "record 2 of the page has no `_id`"),
        ('{"data": [{"_id": "a", "time": NaN}]}', "record 1 of the page holds NaN"),
    ],
)
def test_an_answer_that_a_sync_could_not_use_is_an_error(
    run: Run, httpserver: HTTPServer, body: str, reason: str
) -> None:
    httpserver.expect_request(f"{PATH}conversations").respond_with_data(body)
    httpserver.expect_request(f"{PATH}messages").respond_with_data('{"data": [], "cursor": null}')
    done = run(httpserver.url_for(""))
    assert done.status == 1
    assert f"Bot 'bot', stream 'conversations': {reason}" in done.log
    assert "  reachable" in done.stdout


@pytest.mark.parametrize(
    "body", ['\ufeff{"data": [{"_id": "a", "locale": "\\ud83d\n"}]}', '{"data": [{"_id": "a", "time": 1e999}]}']
)
def test_an_answer_that_a_sync_repairs_is_none(run: Run, httpserver: HTTPServer, body: str) -> None:
    for stream in ("conversations", "messages"):
        httpserver.expect_request(f"{PATH}{stream}").respond_with_data(body)
    assert run(httpserver.url_for("")).status == 0


def refuses_more_than(days: int) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        if int(request.args["end_time"]) - int(request.args["start_time"]) > days * 86_400 + 1:
            return Response('{"message": "range must not exceed some days"}', 400)
        return Response('{"data": [], "cursor": null}')

    return answer


def test_a_longer_span_than_a_sync_asks_for_may_be_refused(run: Run, answers: Answers) -> None:
    for stream in ("conversations", "messages"):
        answers.come(stream, refuses_more_than(7))
    done = run(answers.url, window_days=7, **END)
    assert done.status == 0
    assert "no records since 2026-09-14 14:13 UTC, and no more can be asked for at once (the API" in done.stdout
    done = run(answers.url, window_days=30, **END)
    assert done.status == 1
    assert "range must not exceed some days" in done.log


def test_the_limit_is_kept(archive: Archive, run: Run) -> None:
    archive.add_bot("other", 30, NOW - 10 * DAY, NOW)
    sandbox = Sandbox(archive)
    with sandbox.running() as url:
        began = time.monotonic()
        done = run(url, "bot", "other", requests_per_second=3, **END)
    assert done.status == 0
    assert sandbox.refused == 0
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(httpserver: HTTPServer, write_json: WriteJson, signal_: signal.Signals) -> None:
    asked, over = threading.Event(), threading.Event()

    def hang(_: Request) -> Response:
        asked.set()
        over.wait(30)
        return Response("{}")

    httpserver.expect_request(f"{PATH}conversations").respond_with_handler(hang)
    arguments: list[str | Path] = [TAP, "--config", write_json(config_for(httpserver.url_for(""))), "--test"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tap:  # noqa: S603
        assert asked.wait(20)
        began = time.monotonic()
        tap.send_signal(signal_)
        _, log = tap.communicate(timeout=20)
        over.set()
        assert tap.returncode == 128 + signal_
        assert time.monotonic() - began < 3
    assert b"Traceback" not in log


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_any_page_size_will_do(serve: Serve, run: Run, page_size: int) -> None:
    sandbox, url = serve()
    done = run(url, page_size=page_size, **END)
    assert done.status == 0
    facts = facts_in(done.stdout, "conversations")
    assert facts["is end_time inclusive"] in {"no", UNTOLD}
    assert facts["is a cursor there"] == "yes"
    assert {int(request["per_page"]) for request in sandbox.requests} <= set(range(1, min(page_size, 100) + 1))


def test_names_of_bots_break_no_line(serve: Serve, archive: Archive, run: Run) -> None:
    archive.add_bot("Zoë\n\x1b[2J", 3, NOW - DAY, NOW)
    _, url = serve()
    done = run(url, "Zoë\n\x1b[2J", **END)
    assert done.status == 0
    assert "Zoë??[2J" in done.stdout
    assert "\x1b" not in done.stdout


def test_all_is_the_same_and_schema_prints_the_schemas(serve: Serve, write_json: WriteJson) -> None:
    sandbox, url = serve()
    config = write_json(config_for(url, **END))
    done = command("--config", config, "--test=all")
    assert done.status == 0
    assert "key accepted: yes" in done.stdout
    asked = len(sandbox.requests)
    done = command("--config", config, "--test=schema")
    assert done.status == 0
    assert [message["type"] for message in done.messages] == ["SCHEMA", "SCHEMA"]
    assert len(sandbox.requests) == asked
    assert KEY not in done.stdout
