from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from singer_sdk.exceptions import FatalAPIError

from sandbox.contract import CURSOR, DATA, ENDPOINTS
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for, one_window, patience, sync

CONVERSATIONS = ENDPOINTS["conversations"].path
ID = "0123456789abcdef0123456789abcdef"


def answer_with(httpserver: HTTPServer, *conversations: dict[str, Any]) -> dict[str, Any]:
    """Let the server hold these conversations, and nothing else; gives the tap's settings for it."""
    for stream, endpoint in ENDPOINTS.items():
        records = conversations if stream == "conversations" else ()
        httpserver.expect_request(endpoint.path).respond_with_json({DATA: records, CURSOR: None})
    return one_window(httpserver.url_for(""))


def test_a_request_is_as_the_documentation_has_it(serve: Serve) -> None:
    """Fractions of a second widen the window."""
    sandbox, url = serve()
    span = {"start_date": "2026-09-21T00:00:00.9Z", "end_date": "2026-09-21T23:59:59.1Z"}
    sync(config_for(f"{url}/", page_size=4, concurrency=1, **span))
    first, second, *_ = [query for query in sandbox.requests if query["endpoint"] == "messages"]
    assert second.pop("cursor")
    window = {"start_time": "1789948799", "end_time": "1790035200"}
    assert first == second == {"endpoint": "messages", "bot_name": "bot", "per_page": "4", **window}


@pytest.mark.parametrize("missing", [{}, {"lastActionAt": "?"}])
def test_a_conversation_without_last_action_arrives_and_moves_no_bookmark(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture, missing: dict[str, Any]
) -> None:
    output = sync(answer_with(httpserver, {"_id": ID, "startTime": 1744750665, **missing}))
    (record,) = output.records("conversations")
    assert record["lastActionAt"] is None
    assert output.bookmark("conversations") is None
    assert "'conversations': no records" not in caplog.text


def test_what_the_api_refuses_is_one_sentence(httpserver: HTTPServer, write_json: WriteJson) -> None:
    body = '{"message": "' + 10_000 * "Said so s3cret " + '"}'
    httpserver.expect_request(CONVERSATIONS).respond_with_data(body, status=418, content_type="application/json")
    done = command("--config", write_json({**answer_with(httpserver), "api_key": "s3cret"}))
    assert done.status == 1
    (sentence,) = (line for line in done.log.splitlines() if "stream 'conversations': the API" in line)
    assert "Bot 'bot'" in sentence
    assert "(HTTP 418: Said so ***" in sentence
    assert len(sentence) < 500
    assert "Traceback" not in done.log
    assert "s3cret" not in done.log
    assert sum(request.path == CONVERSATIONS for request, _ in httpserver.log) == 1


def test_an_answer_of_another_shape_ends_the_run_at_the_third_try(httpserver: HTTPServer) -> None:
    httpserver.expect_request(CONVERSATIONS).respond_with_json({"conversations": 1, "next": 2})
    with patience(first_wait=0.01), pytest.raises(FatalAPIError, match=r"its keys: conversations, next \(HTTP 200: OK"):
        sync(one_window(httpserver.url_for("")))
    assert sum(request.path == CONVERSATIONS for request, _ in httpserver.log) == 3


def test_spans_of_any_length_are_taken(serve: Serve) -> None:
    _, url = serve()
    forever = config_for(url, lookback_days=10**12, window_days=10**12)
    first = sync(forever)
    assert len(sync(forever, first.state).newest("conversations")) == 50


def test_a_bot_without_anything_may_have_a_wrong_name_but_one_that_has_been_filled_may_be_quiet(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = answer_with(httpserver)
    partition = {"context": {"bot_name": "bot"}, "replication_key_value": "2026-01-01T12:00:00Z"}
    filled = {"bookmarks": {stream: {"partitions": [partition]} for stream in ENDPOINTS}}
    for state, warnings in (None, len(ENDPOINTS)), (filled, 0):
        caplog.clear()
        sync(config, state)
        assert len([line for line in caplog.messages if "no records" in line and "`bot_names`" in line]) == warnings
