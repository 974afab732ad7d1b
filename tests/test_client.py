from __future__ import annotations

import json
import logging
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import FatalAPIError
from werkzeug import Response

from sandbox.check import differences, expected_rows, received_rows
from sandbox.faults import refuses
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream
from tap_deepconverse.records.values import parse_time
from tests.support import Collector, Output, command, config_for, one_window, run_into, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from sandbox.faults import Fault
    from sandbox.server import Sandbox
    from tests.conftest import Serve, WriteJson

CONVERSATIONS = "/conversations/export/v1/conversations"
MESSAGES = "/conversations/export/v1/messages"
ID = "0123456789abcdef0123456789abcdef"
NO_RETRIES = RetryPolicy(total=0)


def assert_complete(output: Output, sandbox: Sandbox) -> None:
    for stream in ("conversations", "messages"):
        assert differences(expected_rows(sandbox, stream), received_rows(output.records(stream), appended=True)) == []


def answer_with(httpserver: HTTPServer, *conversations: dict[str, Any], messages: Any = ()) -> dict[str, Any]:
    """Let the server hold these records; gives the tap's settings for it."""
    httpserver.expect_request(CONVERSATIONS).respond_with_json({"data": conversations, "cursor": None})
    httpserver.expect_request(MESSAGES).respond_with_json({"data": messages, "cursor": None})
    return one_window(httpserver.url_for(""))


@pytest.mark.parametrize("times", TIME_FORMATS)
@pytest.mark.parametrize("select_by", SELECT_BY)
def test_everything_arrives_however_the_api_writes_times(serve: Serve, times: str, select_by: str) -> None:
    sandbox, url = serve(times=times, select_by=select_by)
    assert_complete(sync(config_for(url, page_size=7)), sandbox)


@pytest.mark.parametrize("order", ORDERS)
def test_everything_arrives_in_whatever_order(serve: Serve, order: str) -> None:
    sandbox, url = serve(order=order, end_inclusive=True)
    output = sync(config_for(url, page_size=7))
    assert_complete(output, sandbox)
    assert output.bookmark("conversations") == max(r["lastActionAt"] for r in output.records("conversations"))


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


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ({"text": "hi"}, '{"text":"hi"}'),
        (["a", {"b": None}], '["a",{"b":null}]'),
        ("text", "text"),
        ("", ""),
        (None, None),
        (7, "7"),
    ],
)
def test_messages_of_any_shape_are_text(httpserver: HTTPServer, sent: Any, received: str | None) -> None:
    message = {"_id": ID, "time": 1744750665, "outMsg": sent, "userInput": sent}
    (record,) = sync(answer_with(httpserver, messages=[message])).records("messages")
    assert record["outMsg"] == record["userInput"] == received


@pytest.mark.parametrize(
    ("sent", "received"),
    [({"a": [1.10]}, {"a": [1.1]}), (["a"], {"value": ["a"]}), ("a", {"value": "a"}), (None, None)],
)
def test_metadata_of_any_shape_is_an_object(httpserver: HTTPServer, sent: Any, received: Any) -> None:
    (record,) = sync(answer_with(httpserver, {"_id": ID, "metadata": sent})).records("conversations")
    assert record["metadata"] == received


def test_empty_pages_with_a_cursor_are_gone_through(httpserver: HTTPServer) -> None:
    pages = iter([([], "a"), ([{"_id": ID}], "b"), ([], "c"), ([{"_id": ID[::-1]}], None)])

    def next_page(_: Request) -> Response:
        data, cursor = next(pages)
        return Response(json.dumps({"data": data, "cursor": cursor}), content_type="application/json")

    httpserver.expect_request(CONVERSATIONS).respond_with_handler(next_page)
    assert len(sync(answer_with(httpserver)).records("conversations")) == 2


def test_a_cursor_that_comes_back_ends_the_run(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": [], "cursor": None})
    httpserver.expect_request(CONVERSATIONS).respond_with_json({"data": [], "cursor": "again"})
    with pytest.raises(FatalAPIError, match=r"^Bot 'bot', stream 'conversations': .* same cursor again"):
        sync(one_window(httpserver.url_for("")))


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "check `api_key`, and that your plan includes exports"),
        (403, "check `api_key`, and that your plan includes exports"),
        (400, "check this bot's name in `bot_names`, and `api_url`"),
        (404, "check this bot's name in `bot_names`, and `api_url`"),
        (418, "check `api_url`"),
    ],
)
@pytest.mark.parametrize(
    "body", ['{"message": "Said\\n  so"}', "Said so", '{"message": "' + 10_000 * "Said so " + '"}']
)
def test_what_the_api_refuses_is_one_sentence(
    httpserver: HTTPServer, write_json: WriteJson, status: int, advice: str, body: str
) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_data(body, status=status, content_type="application/json")
    httpserver.expect_request(MESSAGES).respond_with_json({"data": [], "cursor": None})
    done = command("--config", write_json(one_window(httpserver.url_for(""), api_key="s3cret")))
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
    with pytest.raises(FatalAPIError, match=r"redirects to https://elsewhere\.example\.com/a, .* check `api_url`\.$"):
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


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": {"message": "range must not exceed 7 days"}}, "check `window_days`"),
        (422, {"errors": [{"detail": "The interval may be 31 days at most"}]}, "check `window_days`"),
        (400, {"detail": "end_time - start_time is too large"}, "check `window_days`"),
        (400, {"error": "start_time is older than 12 months"}, "and `start_date`"),
        (400, {"error": "The time window is too wide"}, "check `window_days`"),
        (400, {"message": "Maximum of 31 days between dates"}, "check `window_days`"),
        (400, {"message": "The bot is disabled for 30 days"}, "check this bot's name in `bot_names`"),
        (402, {"message": "Export limit for this billing period reached"}, "check `api_url`"),
        (404, {"message": "This bot is not migrated to date"}, "this bot's name in `bot_names`"),
        (
            404,
            {"message": "Index out of range: no bot in this window of the console"},
            "this bot's name in `bot_names`",
        ),
        (400, {"Message": "per_page must be at most 500"}, "check `page_size`"),
        (400, {"error": {"message": "no such bot"}}, "(HTTP 400: no such bot); check this bot's name in `bot_names`"),
        (403, {"error": "Forbidden"}, "the API refuses the key (HTTP 403: Forbidden); check `api_key`"),
    ],
)
def test_what_to_check_follows_from_the_api_s_own_reason(
    httpserver: HTTPServer, status: int, body: Any, said: str
) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_json(body, status=status)
    with pytest.raises(FatalAPIError) as refusal:
        sync(one_window(httpserver.url_for("")))
    assert said in str(refusal.value)
    assert ("bot_names" in said) is ("bot_names" in str(refusal.value))


BLOCKED = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>no</body></html>"


def test_what_the_firewall_refuses_is_not_blamed_on_the_key(httpserver: HTTPServer) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_data(BLOCKED, status=403, content_type="text/html")
    with pytest.raises(FatalAPIError, match="the firewall in front of the API refuses the request") as refusal:
        sync(one_window(httpserver.url_for("")))
    assert "(HTTP 403: Attention Required! | Cloudflare)" in str(refusal.value)
    assert "api_key" not in str(refusal.value)


@pytest.mark.parametrize("status", [500, 503, 520])
def test_a_failure_of_the_firewall_is_called_so_and_in_the_end_the_status_page_is_named(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", NO_RETRIES)
    httpserver.expect_request(CONVERSATIONS).respond_with_data(BLOCKED, status=status, content_type="text/html")
    with pytest.raises(FatalAPIError, match="from the firewall in front of the API") as failure:
        sync(one_window(httpserver.url_for("")))
    assert "see https://deepconverse.statuspage.io;" in str(failure.value)


def page(*records: dict[str, Any]) -> Response:
    return Response(json.dumps({"data": records}), content_type="application/json")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            Response('{"message": "Too Many Requests"}', 429, {"Retry-After": "1"}),
            "rate limited (HTTP 429: Too Many Requests)",
        ),
        (Response("<html>", 502, {"Retry-After": "1"}), "the API returned a temporary error (HTTP 502: <html>)"),
        (Response("<html>", 200, {"Retry-After": "1"}), "the response is not JSON"),
    ],
)
def test_what_is_transient_is_retried_as_soon_as_the_api_says(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture, failure: Response, said: str
) -> None:
    answers = iter([failure, page({"_id": ID})])
    httpserver.expect_request(CONVERSATIONS).respond_with_handler(lambda _: next(answers))
    assert len(sync(answer_with(httpserver)).records("conversations")) == 1
    (warning,) = [r.getMessage() for r in caplog.records if "(attempt 2)" in r.getMessage()]
    assert warning.startswith("Bot 'bot', stream 'conversations': ")
    assert said in warning
    assert "; retrying in 1." in warning


def test_an_answer_that_does_not_come_is_a_sentence(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", NO_RETRIES)

    def slowly(_: Request) -> Response:
        time.sleep(1.5)
        return page()

    httpserver.expect_request(CONVERSATIONS).respond_with_handler(slowly)
    with pytest.raises(FatalAPIError, match="raise `request_timeout`"):
        sync(one_window(httpserver.url_for(""), request_timeout=1))


def test_a_bot_that_is_named_twice_is_read_once(serve: Serve) -> None:
    sandbox, url = serve()
    sync(one_window(url, "bot", "bot"))
    assert len(sandbox.requests) == 2


def test_a_sync_ends_at_the_moment_it_began(serve: Serve) -> None:
    sandbox, url = serve()
    before = time.time()
    sync(config_for(url))
    assert {query["end_time"] for query in sandbox.requests if int(query["end_time"]) > before - 60}
    assert int(before) <= max(int(query["end_time"]) for query in sandbox.requests) <= time.time() + 1


@pytest.mark.parametrize("record", [{"startTime": 1744750665}, {"_id": None}, "text", None])
def test_what_is_no_record_with_an_id_ends_the_run(httpserver: HTTPServer, record: Any) -> None:
    config = answer_with(httpserver, {"_id": ID}, record)
    with pytest.raises(
        FatalAPIError, match=r"^Bot 'bot', stream 'conversations': record 2 of page 1 of the window from 2026.* .*\.$"
    ):
        sync(config)


def test_only_some_of_many_times_that_cannot_be_read_are_named(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    sync(answer_with(httpserver, *({"_id": f"{n:x}", "startTime": "?"} for n in range(50))))
    lines = [r.getMessage() for r in caplog.records if "it is null in the target" in r.getMessage()]
    assert len(lines) == 10
    assert lines[-1].endswith("; further ones are counted but not logged")
    assert "Bot 'bot', stream 'conversations': in all, 50 values in `startTime` that cannot be converted" in caplog.text


def test_fields_that_are_others_in_each_record_do_not_fill_the_log(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    output = sync(answer_with(httpserver, *({"_id": f"{n:x}", f"field{n}": n} for n in range(50))))
    assert [record["additional_fields"] for record in output.records("conversations")] == [
        {f"field{n}": n} for n in range(50)
    ]
    lines = [r.getMessage() for r in caplog.records if "does not name" in r.getMessage()]
    assert len(lines) == 10
    assert lines[-1].endswith("; further fields are not logged")


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
    assert len(warnings) == 2
    assert all("': no records " in warning for warning in warnings)


def test_a_bot_that_has_been_filled_may_be_quiet(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    state = {
        "bookmarks": {
            stream: {
                "partitions": [
                    {
                        "context": {"bot_name": "bot"},
                        "replication_key": key,
                        "replication_key_value": "2026-02-01T00:00:00.000000+00:00",
                    }
                ]
            }
            for stream, key in (("conversations", "lastActionAt"), ("messages", "time"))
        }
    }
    sync(answer_with(httpserver), state)
    assert "`bot_names`" not in caplog.text


def test_no_server_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", NO_RETRIES)
    with pytest.raises(FatalAPIError, match=r"^Bot .*: the API's host refuses the connection.*\.$"):
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
        r"see https://deepconverse.statuspage.io; failed after \d+ tr.* in 0 s; "
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
    assert_complete(Output(writer.output.messages + second.messages), sandbox)


def test_the_rest_of_a_quota_is_not_waited_for(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    sandbox, url = serve()
    sandbox.fault = refuses(429, "Limit Exceeded", "259200")
    with pytest.raises(FatalAPIError, match=r"wait 3 days \(HTTP 429: Limit Exceeded\), .* a quota .* next run"):
        sync(config_for(url, concurrency=1))
    assert len(sandbox.requests) == 2  # one for each stream
    assert "retrying in" not in caplog.text


def goes_away_after(answers: int) -> Fault:
    answered = count()
    away = refuses(503, "Service Unavailable")
    return lambda answer: answer if next(answered) < answers else away(answer)
