"""One bot's trouble is not the others'."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import FatalAPIError
from werkzeug import Response

from sandbox.archive import DAY
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream
from tests.conftest import NOW
from tests.support import Collector, command, config_for, run_into, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from sandbox.archive import Archive
    from tests.conftest import Serve, WriteJson

BOTS = ["first", "second", "third"]
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def bots(archive: Archive) -> None:
    for bot_name in BOTS:
        archive.add_bot(bot_name, 40, NOW - 10 * DAY, NOW)


def all_ids(archive: Archive, stream: str, *bot_names: str) -> set[str]:
    by_bot = archive.conversations if stream == "conversations" else archive.messages
    return {key for bot_name in bot_names for key in by_bot[bot_name]}


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_a_wrong_name_is_an_error_and_all_others_are_read(
    serve: Serve, archive: Archive, write_json: WriteJson, place: int, concurrency: int
) -> None:
    _, url = serve()
    names = [*BOTS[:place], "wrong", *BOTS[place:]]
    done = command("--config", write_json(config_for(url, *names, concurrency=concurrency)))
    assert done.status == 1
    for stream in ("conversations", "messages"):
        assert done.newest(stream).keys() == all_ids(archive, stream, *BOTS)
        assert all(done.bookmark(stream, bot_name) for bot_name in BOTS)
        assert done.bookmark(stream, "wrong") is None
        assert f"Bot 'wrong', stream '{stream}': the API does not accept the request" in done.log
    last = done.log.splitlines()[-1]
    assert "These bots failed (conversations: 'wrong'; messages: 'wrong')" in last
    assert "Traceback" not in done.log


@pytest.mark.parametrize("stream", ["conversations", "messages"])
def test_a_record_that_cannot_be_read_fails_its_bot_only(
    serve: Serve, archive: Archive, write_json: WriteJson, stream: str
) -> None:
    _, url = serve()
    records = archive.conversations if stream == "conversations" else archive.messages
    time_field = "lastActionAt" if stream == "conversations" else "time"
    records["second"]["x"] = {"_id": "", "startTime": NOW - DAY, time_field: NOW - DAY}
    config = config_for(url, *BOTS)
    done = command("--config", write_json(config))
    assert done.status == 1
    assert all_ids(archive, stream, "first", "third") <= done.newest(stream).keys()
    assert f"These bots failed ({stream}: 'second')" in done.log.splitlines()[-1]

    del records["second"]["x"]
    second = command("--config", write_json(config), "--state", write_json(done.state, "state.json"))
    assert second.status == 0
    assert all_ids(archive, stream, "second") <= done.newest(stream).keys() | second.newest(stream).keys()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, "", "check `api_key`"),
        (403, "", "check `api_key`"),
        (405, "", "check `api_url`"),
        (302, "", "check `api_url`"),
        (429, {"message": "Limit Exceeded"}, "asks to wait"),
    ],
)
def test_what_concerns_all_bots_ends_the_run_at_once(
    httpserver: HTTPServer, write_json: WriteJson, status: int, body: Any, says: str
) -> None:
    answer = Response(json.dumps(body), status, {"Retry-After": "86400"})
    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_response(answer)
    done = command("--config", write_json(config_for(httpserver.url_for(""), *BOTS, concurrency=1)))
    assert done.status == 1
    assert says in done.log.splitlines()[-1]
    assert len(httpserver.log) <= len(BOTS)  # of the next bots it has read ahead
    assert all(request.path.endswith("conversations") for request, _ in httpserver.log)


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("failing", ["first", "third"])
@pytest.mark.parametrize("others", [True, False])
def test_an_outage_is_everyone_s_unless_other_requests_come_through(
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    others: bool,  # noqa: FBT001
    failing: str,
    concurrency: int,
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(first_wait=0.1, total=1, fewest_tries=2))

    def answer(request: Request) -> Response:
        if request.args["bot_name"] == failing or not others:
            return Response("", 503)
        return Response(json.dumps({"data": [], "cursor": None}), headers={"X-Slow": "no"})

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": [], "cursor": None})
    config = config_for(httpserver.url_for(""), *BOTS, end_date="2026-01-01T12:00:00Z", requests_per_second=50)
    config["concurrency"] = concurrency
    with pytest.raises(
        FatalAPIError,
        match=rf"Bot '{failing if others else 'first'}', stream 'conversations': the API returned a temporary error",
    ):
        run_into(Collector(), config)
    asked = {request.args["bot_name"] for request, _ in httpserver.log if request.path.endswith("messages")}
    assert asked == ({*BOTS} if others else set())


@pytest.mark.parametrize(
    ("small_pages", "is_outage"),
    [
        ([Response("", 302, {"Location": "https://maintenance.example.com"})], True),
        ([Response("", 403)], True),
        ([Response("", 429, {"Retry-After": "3600"})], True),
        ([Response('{"message": "no such range"}', 400)], True),
        ([*[Response("", 503)] * 5, Response('{"data": [], "cursor": null}')], False),
    ],
)
def test_only_a_page_tells_that_the_api_is_up(
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    small_pages: list[Response],
    is_outage: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(first_wait=0.1, total=0.2, fewest_tries=2))
    coming = [*small_pages]

    def answer(request: Request) -> Response:
        if request.args["per_page"] == "1":
            return coming.pop(0) if len(coming) > 1 else coming[0]
        return Response("", 503)

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": [], "cursor": None})
    config = config_for(httpserver.url_for(""), *BOTS, end_date="2026-01-01T12:00:00Z", requests_per_second=50)
    with pytest.raises(FatalAPIError, match=r"Bot 'first', stream 'conversations': the API returned a temporary error"):
        run_into(Collector(), config | {"concurrency": 1})
    assert any(request.path.endswith("messages") for request, _ in httpserver.log) is not is_outage


def test_a_bot_that_fails_keeps_what_was_complete(serve: Serve, archive: Archive) -> None:
    _, url = serve(times="milliseconds")
    config = config_for(url, "first", window_days=1, concurrency=1)
    archive.conversations["first"]["x"] = {"_id": "", "startTime": NOW - DAY, "lastActionAt": NOW - DAY}
    writer = Collector()
    with pytest.raises(FatalAPIError, match=r"has no `_id`"):
        run_into(writer, config)
    bookmark = writer.output.bookmark("conversations", "first")
    assert bookmark
    assert bookmark < "2026-09-21"
    del archive.conversations["first"]["x"]
    again = sync(config, writer.output.state)
    found = writer.output.newest("conversations").keys() | again.newest("conversations").keys()
    assert found == all_ids(archive, "conversations", "first")


@pytest.mark.parametrize("level", ["INFO", "CRITICAL"])
def test_why_a_bot_failed_is_on_standard_error_once_whatever_is_logged(
    serve: Serve, write_json: WriteJson, level: str
) -> None:
    _, url = serve()
    environment = {**os.environ, "TAP_DEEPCONVERSE_LOGLEVEL": level}
    done = command("--config", write_json(config_for(url, *BOTS, "wrong")), env=environment)
    assert done.status == 1
    for stream in ("conversations", "messages"):
        assert done.log.count(f"Bot 'wrong', stream '{stream}': the API does not accept the request") == 1
    assert done.log.count("These bots failed") == 1
