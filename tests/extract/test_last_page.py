from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from singer_sdk.exceptions import FatalAPIError
from werkzeug import Response

from tap_deepconverse.extract.last_page import LastPage
from tap_deepconverse.extract.windows import Window, WindowRead
from tap_deepconverse.records.page import Page
from tests.simulation import span_of
from tests.support import config_for, sync

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer
    from werkzeug import Request

START = 1_767_225_600
READ = WindowRead(Window(START, START + 86_400), 5)
SECOND = WindowRead(Window(START, START + 1), 5)


def page(records: int, cursor: str | None = None, *, has_key: bool = False) -> Page:
    return Page([msgspec.Raw(b"{}")] * records, cursor, has_cursor_key=has_key or cursor is not None, keys="data")


@pytest.mark.parametrize(
    ("before", "last", "read", "is_taken_for_the_last"),
    [
        ([], page(5, has_key=True), READ, True),
        ([], page(5), READ, False),
        ([], page(5), SECOND, False),
        ([], page(0), READ, True),
        ([], page(1), READ, True),
        ([page(4, has_key=True)], page(3), READ, True),
        ([page(3, has_key=True)], page(3), READ, False),
        ([page(3, has_key=True)], page(3), SECOND, True),
        ([page(3, "more")], page(3), SECOND, False),
        ([page(3, "more")], page(2), READ, True),
        ([page(1, "more")], page(1), READ, False),
        ([], page(3), READ, False),
    ],
)
def test_a_page_without_the_key_is_the_last_only_if_it_is_not_full(
    before: list[Page],
    last: Page,
    read: WindowRead,
    is_taken_for_the_last: bool,  # noqa: FBT001
) -> None:
    pages, span = LastPage(), span_of(START)
    for each in before:
        assert pages.problem(each, READ, span) is None
    problem = pages.problem(last, read, span)
    assert (problem is None) is is_taken_for_the_last
    assert problem is None or "has no `cursor` (its keys: data), so" in str(problem)


def serve_pages(httpserver: HTTPServer, times: list[int], form: str, most: int) -> dict[str, Any]:
    """Serve records in pages of at most so many; the token to the next is where `form` says."""

    def answer(request: Request) -> Response:
        first, last = int(request.args["start_time"]), int(request.args["end_time"])
        found = [{"_id": f"{n:032x}", "lastActionAt": t} for n, t in enumerate(times) if first <= t <= last]
        size, at = min(most, int(request.args["per_page"])), int(request.args.get("cursor", 0))
        token = str(at + size) if at + size < len(found) else None
        body: dict[str, Any] = {"data": found[at : at + size]}
        if form == "nextCursor" and token:
            body["nextCursor"] = token
        elif form == "meta":
            body["meta"] = {"cursor": token}
        elif form == "cursor, none at the end" and token:
            body["cursor"] = token
        return Response(json.dumps(body))

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": [], "cursor": None})
    return config_for(httpserver.url_for(""), start_date="2026-01-01", end_date="2026-01-03", page_size=5)


@pytest.mark.parametrize("form", ["nextCursor", "meta", "nowhere", "cursor, none at the end"])
@pytest.mark.parametrize("most", [2, 5])
@pytest.mark.parametrize("records", [0, 1, 5, 10, 23])
def test_all_is_read_wherever_the_token_is(httpserver: HTTPServer, form: str, most: int, records: int) -> None:
    times = [START + 3_600 * n for n in range(records)]
    assert len(sync(serve_pages(httpserver, times, form, most)).newest("conversations")) == records


def test_a_second_that_is_still_full_is_an_error_that_names_the_keys(httpserver: HTTPServer) -> None:
    config = serve_pages(httpserver, [START + 7] * 9, "nextCursor", 5)
    with pytest.raises(FatalAPIError, match=r"has no `cursor` \(its keys: data, nextCursor\), so more may follow"):
        sync(config)


def test_pages_that_lack_the_key_are_warned_of_once(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    sync(serve_pages(httpserver, [START + 3_600 * n for n in range(40)], "cursor, none at the end", 5))
    assert len([line for line in caplog.messages if "come without `cursor` (their keys: data)" in line]) == 1
