"""Many windows read at once: as many as help, no more than are bounded, and what becomes of them when one fails."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tap_deepconverse.timestamps import parse_time
from tests.support import command, config_for, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from werkzeug import Request

    from tests.conftest import WriteJson

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
DAY = 86_400


class Api:
    """An API whose answers to requests for conversations a test makes; it keeps account of them."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.url = httpserver.url_for("")
        self.asked: list[tuple[float, dict[str, str]]] = []
        self.answer: Callable[[dict[str, str]], Any] = a_record
        self._lock = threading.Lock()
        httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(self._handle)
        httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": []})

    @property
    def windows(self) -> list[tuple[int, int]]:
        return [(int(query["start_time"]), int(query["end_time"])) for _, query in self.asked]

    def _handle(self, request: Request) -> Response:
        with self._lock:
            self.asked.append((time.monotonic(), request.args.to_dict()))
        answer = self.answer(request.args.to_dict())
        return answer if isinstance(answer, Response) else Response(json.dumps(answer), mimetype="application/json")


def record(moment: int, **fields: Any) -> dict[str, Any]:
    return {"_id": f"{moment}", "startTime": moment, "lastActionAt": moment, **fields}


def a_record(query: dict[str, str]) -> Any:
    return {"data": [record(int(query["start_time"]) + 60)], "cursor": None}


@pytest.fixture
def api() -> Iterator[Api]:
    with HTTPServer(threaded=True) as server:
        yield Api(server)


def span(url: str, days: int, **settings: Any) -> dict[str, Any]:
    """Settings for some days, a window each."""
    end = datetime.fromtimestamp(START + days * DAY, UTC)
    dates = {"start_date": "2026-01-01T00:00:00Z", "end_date": end.isoformat()}
    return config_for(url, **{"window_days": 1, **dates, **settings})


def test_the_bookmark_is_not_beyond_the_end_of_the_run(api: Api) -> None:
    """Not even by a part of the second that the last window is rounded up to."""
    api.answer = lambda query: {"data": [record(int(query["start_time"]), lastActionAt=(START + DAY) * 1000 + 900)]}
    output = sync(span(api.url, 1, end_date="2026-01-02T00:00:00.250Z"))
    assert parse_time(output.bookmark("conversations")) == datetime(2026, 1, 2, 0, 0, 0, 250_000, UTC)


def test_as_many_windows_are_read_at_once_to_the_end(api: Api) -> None:
    reading = 0
    at_once: list[int] = []
    lock = threading.Lock()

    def answer(query: dict[str, str]) -> Any:
        nonlocal reading
        with lock:
            reading += 1
            at_once.append(reading)
        time.sleep(0.03)
        with lock:
            reading -= 1
        return a_record(query)

    api.answer = answer
    sync(span(api.url, 80, concurrency=8))
    assert max(at_once) <= 8
    last_third = at_once[len(at_once) * 2 // 3 : -8]
    assert sum(last_third) / len(last_third) > 4


def test_no_more_is_read_ahead_than_is_bounded(api: Api) -> None:
    """What lies beyond a window that takes long would be read again, were the run to end."""
    others_go_on = threading.Event()

    def answer(query: dict[str, str]) -> Any:
        if int(query["start_time"]) == START:
            time.sleep(1.5)
            others_go_on.set()
        elif not others_go_on.is_set():
            ahead.append(query)
        return a_record(query)

    ahead: list[dict[str, str]] = []
    api.answer = answer
    output = sync(span(api.url, 150, concurrency=8))
    assert len(output.newest("conversations")) == 150
    assert 8 <= len(ahead) <= 40


def test_nobody_asks_while_the_api_wants_a_pause(api: Api) -> None:
    refused_at = 0.0

    def answer(query: dict[str, str]) -> Any:
        nonlocal refused_at
        if len(api.asked) == 20:
            refused_at = time.monotonic()
            return Response('{"message": "Too Many Requests"}', 429, {"Retry-After": "1"})
        time.sleep(0.01)
        return a_record(query)

    api.answer = answer
    sync(span(api.url, 60, concurrency=8, requests_per_second=100))
    after_it = [moment - refused_at for moment, _ in api.asked if moment > refused_at]
    assert [seconds for seconds in after_it if 0.05 < seconds < 0.95] == []
    assert len(after_it) >= 40


@pytest.mark.parametrize("concurrency", [1, 3])
def test_what_has_been_read_is_written_when_a_run_fails(api: Api, write_json: WriteJson, concurrency: int) -> None:
    """Also what came after the last checkpoint."""

    def answer(query: dict[str, str]) -> Any:
        if "cursor" in query:
            time.sleep(0.3)
            return Response('{"message": "Forbidden"}', 403)
        page = a_record(query)
        return {**page, "cursor": "more" if int(query["start_time"]) == START + DAY else None}

    api.answer = answer
    done = command("--config", write_json(span(api.url, 2, concurrency=concurrency)))
    assert done.status == 1
    assert done.newest("conversations").keys() == {str(START + 60), str(START + DAY + 60)}


def test_what_is_read_again_is_not_taken_for_more(api: Api) -> None:
    """Were it, the next windows would be shorter than what they hold calls for."""

    def windows_of_a_run(*, is_refused: bool) -> list[tuple[int, int]]:
        refused: set[str] = set()

        def answer(query: dict[str, str]) -> Any:
            start, end = int(query["start_time"]), int(query["end_time"])
            records = [record(moment) for moment in range(start + -start % 900, end, 900)]
            if "cursor" in query and is_refused and query["start_time"] not in refused:
                refused.add(query["start_time"])
                return Response('{"message": "Invalid cursor"}', 400)
            first = int(query.get("cursor", 0))
            more = first + 50 < len(records)
            return {"data": records[first : first + 50], "cursor": str(first + 50) if more else None}

        api.asked.clear()
        api.answer = answer
        output = sync(span(api.url, 30, window_days=30, page_size=50, concurrency=1))
        assert len(output.newest("conversations")) == 30 * 96
        return list(dict.fromkeys(api.windows))

    assert windows_of_a_run(is_refused=True) == windows_of_a_run(is_refused=False)
