from __future__ import annotations

import json
import logging
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import FatalAPIError
from werkzeug import Response

from sandbox.contract import CURSOR, DATA, ENDPOINTS, STREAMS
from sandbox.faults import refuses
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream
from tap_deepconverse.records.values import parse_time
from tests.support import Collector, command, config_for, lost, one_window, run_into, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from sandbox.faults import Fault
    from tests.conftest import Serve, WriteJson

CONVERSATIONS = ENDPOINTS["conversations"].path
ID = "0123456789abcdef0123456789abcdef"
NO_RETRIES = RetryPolicy(total=0)


def answer_with(httpserver: HTTPServer, *conversations: dict[str, Any]) -> dict[str, Any]:
    """Let the server hold these conversations, and nothing else; gives the tap's settings for it."""
    for stream, endpoint in ENDPOINTS.items():
        records = conversations if stream == "conversations" else ()
        httpserver.expect_request(endpoint.path).respond_with_json({DATA: records, CURSOR: None})
    return one_window(httpserver.url_for(""))


def test_a_request_is_as_the_documentation_has_it(serve: Serve) -> None:
    sandbox, url = serve()
    span = {"start_date": "2026-09-21T00:00:00Z", "end_date": "2026-09-22T00:00:00Z"}
    sync(config_for(f"{url}/", page_size=4, concurrency=1, **span))
    first, second, *_ = [query for query in sandbox.requests if query["endpoint"] == "messages"]
    cursor = second.pop("cursor")
    assert cursor
    assert first == second
    assert first == {
        "endpoint": "messages",
        "bot_name": "bot",
        "start_time": "1789948799",
        "end_time": "1790035200",
        "per_page": "4",
    }


def test_fractions_of_a_second_widen_the_window(serve: Serve) -> None:
    sandbox, url = serve()
    sync(config_for(url, start_date="2026-01-01T00:00:00.9Z", end_date="2026-01-02T00:00:00.1Z"))
    assert min(query["start_time"] for query in sandbox.requests) == "1767225599"
    assert max(query["end_time"] for query in sandbox.requests) == "1767312001"


def test_a_time_that_cannot_be_read_is_null_and_said_without_its_value(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = answer_with(httpserver, {"_id": ID, "startTime": "private", "lastActionAt": 1744750665})
    (record,) = sync(config).records("conversations")
    assert record["startTime"] is None
    assert record["lastActionAt"] == "2025-04-15T20:57:45.000000+00:00"
    (warning,) = [r.getMessage() for r in caplog.records if ID in r.getMessage()]
    assert "Bot 'bot', stream 'conversations': `startTime`" in warning
    window = "the window from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z"
    assert f"(record 1 of page 1 of {window}) is not a time" in warning
    assert "private" not in caplog.text


@pytest.mark.parametrize("missing", [{}, {"lastActionAt": None}, {"lastActionAt": "?"}])
def test_a_conversation_without_last_action_arrives_and_moves_no_bookmark(
    httpserver: HTTPServer, missing: dict[str, Any]
) -> None:
    output = sync(answer_with(httpserver, {"_id": ID, "startTime": 1744750665, **missing}))
    (record,) = output.records("conversations")
    assert record["lastActionAt"] is None
    assert output.bookmark("conversations") is None


def test_undocumented_fields_are_emitted_and_named_once(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    extra = {"rating": 5, "survey": {"comment": "private"}}
    records = [{"_id": f"{i:032x}", "lastActionAt": 1744750665, **extra} for i in range(3)]
    output = sync(answer_with(httpserver, *records))
    assert [record["additional_fields"] for record in output.records("conversations")] == [extra] * 3
    (line,) = [r.getMessage() for r in caplog.records if "does not name" in r.getMessage()]
    assert "(rating, survey)" in line
    assert "private" not in caplog.text


def test_empty_pages_with_a_cursor_are_gone_through(httpserver: HTTPServer) -> None:
    pages = iter([([], "a"), ([{"_id": ID}], "b"), ([], "c"), ([{"_id": ID[::-1]}], None)])

    def next_page(_: Request) -> Response:
        data, cursor = next(pages)
        return Response(json.dumps({DATA: data, CURSOR: cursor}), content_type="application/json")

    httpserver.expect_request(CONVERSATIONS).respond_with_handler(next_page)
    assert len(sync(answer_with(httpserver)).records("conversations")) == 2


REFUSED = "check this bot's name in `bot_names`, then `window_days`, `start_date`, `page_size` and `api_url`"


@pytest.mark.parametrize(
    ("status", "advice", "body"),
    [
        (401, "check `api_key`, and that your plan includes exports", '{"message": "Said\\n  so"}'),
        (
            404,
            "check this bot's name in `bot_names`, then `window_days`, `start_date`, `page_size` and `api_url`",
            "Said so",
        ),
        (
            418,
            "check this bot's name in `bot_names`, then `window_days`, `start_date`, `page_size` and `api_url`",
            '{"message": "' + 10_000 * "Said so " + '"}',
        ),
    ],
)
def test_what_the_api_refuses_is_one_sentence(
    httpserver: HTTPServer, write_json: WriteJson, status: int, advice: str, body: str
) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_data(body, status=status, content_type="application/json")
    done = command("--config", write_json({**answer_with(httpserver), "api_key": "s3cret"}))
    assert done.status == 1
    (sentence,) = (
        line.split("|")[-1].strip() for line in done.log.splitlines() if "stream 'conversations': the API" in line
    )
    assert sentence.startswith("Bot 'bot'")
    assert f"(HTTP {status}: Said so" in sentence
    assert sentence.endswith(f"{advice}.")
    assert len(sentence) < 450
    assert "Traceback" not in done.log
    assert "s3cret" not in done.log
    assert sum(request.path == CONVERSATIONS for request, _ in httpserver.log) == 1


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_data(
        status=302, headers={"Location": "https://elsewhere.example.com/a?b"}
    )
    with pytest.raises(FatalAPIError, match=r"\(HTTP 302: FOUND\), and redirects are not followed; check `api_url`\.$"):
        sync(one_window(httpserver.url_for("")))
    assert sum(request.path == CONVERSATIONS for request, _ in httpserver.log) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"message": "key S3CRET is not known"}),
        (500, {"data": [{"userInput": "PRIVATE"}]}),
        (400, [{"userInput": "PRIVATE"}]),
        (400, {"message": {"userInput": "PRIVATE"}}),
        (203, {"data": [{"userInput": "PRIVATE"}]}),
        (404, {"message": 190 * "x" + "S3CRET"}),
    ],
)
def test_an_error_repeats_neither_the_key_nor_a_record(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int, body: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(ExportStream, "retry_policy", NO_RETRIES)
    httpserver.expect_request(CONVERSATIONS).respond_with_json(body, status=status)
    with pytest.raises(FatalAPIError, match=f"HTTP {status}") as refusal:
        sync(one_window(httpserver.url_for(""), api_key="S3CRET"))
    for leak in ("S3CRE", "PRIVATE"):
        assert leak not in str(refusal.value) + caplog.text


@pytest.mark.parametrize("keys", [["conversations", "next"], ["data", "cursor"]])
def test_an_answer_of_another_shape_ends_the_run_at_the_third_try_and_its_keys_are_said(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(first_wait=0.01))
    httpserver.expect_request(CONVERSATIONS).respond_with_json(dict.fromkeys(keys, "abc"))
    with pytest.raises(FatalAPIError, match=f"its keys: {', '.join(sorted(keys))} ") as refusal:
        sync(one_window(httpserver.url_for("")))
    assert "HTTP 200: OK" in str(refusal.value)
    assert len([request for request, _ in httpserver.log if request.path == CONVERSATIONS]) == 3


BLOCKED = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>no</body></html>"


def test_what_the_firewall_refuses_is_not_blamed_on_the_key(httpserver: HTTPServer) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_data(BLOCKED, status=403, content_type="text/html")
    with pytest.raises(FatalAPIError, match="the firewall in front of the API refuses the request") as refusal:
        sync(one_window(httpserver.url_for("")))
    assert "(HTTP 403: Attention Required! | Cloudflare)" in str(refusal.value)
    assert "api_key" not in str(refusal.value)


def page(*records: dict[str, Any]) -> Response:
    return Response(json.dumps({DATA: records, CURSOR: None}), content_type="application/json")


def test_what_is_transient_is_retried_as_soon_as_the_api_says(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    failure = Response("<html>", 502, {"Retry-After": "1"})
    answers = iter([failure, page({"_id": ID})])
    httpserver.expect_request(CONVERSATIONS).respond_with_handler(lambda _: next(answers))
    assert len(sync(answer_with(httpserver)).records("conversations")) == 1
    (warning,) = [r.getMessage() for r in caplog.records if "(attempt 2)" in r.getMessage()]
    assert warning.startswith(
        "Bot 'bot', stream 'conversations': the API returned a temporary error (HTTP 502: <html>)"
    )
    assert "; retrying in 1." in warning


def test_spans_of_any_length_are_taken(serve: Serve) -> None:
    _, url = serve()
    forever = config_for(url, lookback_days=10**12, window_days=10**12)
    first = sync(forever)
    assert len(sync(forever, first.state).newest("conversations")) == 50


def test_a_bot_name_of_the_apis_own_is_not_lost(httpserver: HTTPServer) -> None:
    (record,) = sync(answer_with(httpserver, {"_id": ID, "bot_name": "Bot!"})).records("conversations")
    assert record["bot_name"] == "bot"
    assert record["additional_fields"] == {"bot_name": "Bot!"}


def test_a_bot_without_anything_may_have_a_wrong_name(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    config = answer_with(httpserver)
    sync(config)
    warnings = [record.getMessage() for record in caplog.records if "`bot_names`" in record.getMessage()]
    assert len(warnings) == len(STREAMS)
    assert all("': no records " in warning for warning in warnings)


def test_a_bot_that_has_been_filled_may_be_quiet(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    bookmark = {"context": {"bot_name": "bot"}, "replication_key_value": "2026-02-01T00:00:00.000000+00:00"}
    state = {
        "bookmarks": {
            stream: {"partitions": [{**bookmark, "replication_key": endpoint.time}]}
            for stream, endpoint in ENDPOINTS.items()
        }
    }
    sync(answer_with(httpserver), state)
    assert "`bot_names`" not in caplog.text


def test_no_server_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", NO_RETRIES)
    with pytest.raises(FatalAPIError, match=r"^Bot .*: the connection to the API failed \(Connection refused\).*\.$"):
        sync(config_for("http://127.0.0.1:1"))


def test_an_outage_that_outlasts_the_retries_is_said_in_a_sentence_and_the_next_run_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(first_wait=0.05, total=0.2))
    sandbox, url = serve()
    config = config_for(url, start_date="2026-09-11", end_date="2026-09-23", window_days=1, concurrency=1)
    sandbox.fault = goes_away_after(6)
    writer = Collector()
    with pytest.raises(
        FatalAPIError,
        match=r"^Bot 'bot', stream 'conversations': .* \(HTTP 503: Service Unavailable\); "
        r"failed after 0 s \(attempt \d+\); see https://deepconverse.statuspage.io; "
        r"the next run goes on from the last checkpoint\.$",
    ):
        run_into(writer, config)
    warning, *_ = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "; retrying in 0." in warning
    assert "(attempt 2), until about " in warning

    sandbox.fault = None
    asked = len(sandbox.requests)
    second = sync(config, writer.output.state)
    conversations = [q for q in sandbox.requests[asked:] if q["endpoint"] == "conversations"]
    assert int(conversations[0]["start_time"]) > parse_time("2026-09-11T00:00:00Z").timestamp()
    assert lost(sandbox, writer.output, second) == []


def goes_away_after(answers: int) -> Fault:
    answered = count()
    away = refuses(503, "Service Unavailable")
    return lambda answer: answer if next(answered) < answers else away(answer)
