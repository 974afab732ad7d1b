"""Many windows read at once: as many as help, no more than are bounded, and what becomes of them when one fails."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pytest_httpserver import HTTPServer
from singer_sdk.exceptions import FatalAPIError
from werkzeug import Response

from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.extract.pool import MOST_WAITING, MOST_WAITING_LATER, ReaderPool
from tap_deepconverse.extract.windows import WindowPlanner
from tap_deepconverse.records.page import Page
from tap_deepconverse.records.timestamps import parse_time
from tests.simulation import span_of
from tests.support import command, config_for, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from werkzeug import Request

    from tap_deepconverse.extract.lane import Arrival
    from tap_deepconverse.extract.span import BotSpan
    from tap_deepconverse.extract.windows import WindowRead
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

    refused, undisturbed = windows_of_a_run(is_refused=True), windows_of_a_run(is_refused=False)
    # Not to the second: the next window may be planned before or after the rhythm of the one before is known.
    lengths = [end - start for start, end in undisturbed[:-2]]
    assert [end - start for start, end in refused[: len(lengths)]] == pytest.approx(lengths, rel=0.05)


def test_a_window_that_is_left_out_ends_the_run_with_an_error(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = WindowPlanner.next

    def a_second_late(self: WindowPlanner, in_flight: float, room: float = 30) -> WindowRead:
        read = cut(self, in_flight, room)
        if read.window.start == START + 4 * DAY:
            return replace(read, window=replace(read.window, start=read.window.start + 1))
        return read

    monkeypatch.setattr(WindowPlanner, "next", a_second_late)
    began = time.monotonic()
    with pytest.raises(FatalAPIError, match="complete only up to 2026-01-05T00:00:00Z, although no window is left"):
        sync(span(api.url, 60, concurrency=4))
    assert time.monotonic() - began < 5


def archive_of(api: Api, records: list[dict[str, Any]]) -> None:
    """Let the API hold records, in pages, and end what takes far too many requests."""

    def answer(query: dict[str, str]) -> Any:
        if len(api.asked) > 5 * len(records):
            return Response('{"message": "Enough"}', 403)
        start, end, size = int(query["start_time"]), int(query["end_time"]), int(query["per_page"])
        found = [each for each in records if start <= each["startTime"] <= end]
        first = int(query.get("cursor", 0))
        more = first + size < len(found)
        return {"data": found[first : first + size], "cursor": str(first + size) if more else None}

    api.answer = answer


@pytest.mark.parametrize("second", [0, 40_000, DAY])
@pytest.mark.parametrize("order", ["rising", "falling", "none", "equal"])
def test_a_bulk_import_within_one_second_is_read(api: Api, order: str, second: int) -> None:
    """It makes no difference to such a window how it is cut."""
    moment = START + second
    times = [moment + (0.0 if order == "equal" else number / 1000) for number in range(300)]
    if order == "none":
        random.Random(1).shuffle(times)
    if order == "falling":
        times.reverse()
    archive_of(api, [record(moment, _id=f"{n}", lastActionAt=at) for n, at in enumerate(times)])
    output = sync(span(api.url, 3, page_size=10, concurrency=8))
    assert len(output.newest("conversations")) == 300


@pytest.mark.parametrize("updated", [{"lastActionAt": None}, {"lastActionAt": "soon"}])
def test_many_records_without_a_time_are_read(api: Api, updated: dict[str, Any]) -> None:
    archive_of(api, [record(START + n * 60, _id=f"{n}", **updated) for n in range(300)])
    output = sync(span(api.url, 3, page_size=10, concurrency=8))
    assert len(output.newest("conversations")) == 300


# --- The pool alone ---

PAGES = 5
ROW = msgspec.Raw(b"{}")


class Source:
    """Windows of a day and five pages each."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read = 0

    def pages(self, _: BotSpan, __: WindowRead) -> Iterator[Page]:
        for number in range(PAGES):
            with self.lock:
                self.read += 1
            yield Page([ROW] * (number + 1), "more" if number < PAGES - 1 else None)


def days(number: int = 20, name: str = "bot") -> BotSpan:
    return span_of(START, START + number * DAY, window_days=1, name=name)


def day_of(read: WindowRead) -> int:
    return (read.window.start - START) // DAY


def pool_of(spans: list[BotSpan], most_at_once: int, fetch: Callable[[BotSpan, WindowRead], Iterator[Page]]) -> Any:
    """A pool that is closed at the end."""
    return closing(ReaderPool(spans, fetch, RateLimiter(10_000), most_at_once))


def arrivals(pool: ReaderPool, span: BotSpan) -> Iterator[Arrival]:
    """What comes of a bot; what is complete is noted."""
    for arrival in pool.results(span, None):
        yield arrival
        if arrival.page is None:
            span.finish(arrival.read.window, arrival.records)


@pytest.fixture
def _no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


pytestmark = pytest.mark.usefixtures("_no_thread_is_left_behind")


@pytest.mark.parametrize("most_at_once", [1, 3, 16])
def test_every_page_comes_and_then_the_end_of_its_window(most_at_once: int) -> None:
    bot, pages = days(), dict[int, list[tuple[int, int, int | None]]]()
    with pool_of([bot], most_at_once, Source().pages) as pool:
        for arrival in arrivals(pool, bot):
            size = None if arrival.page is None else len(arrival.page.data)
            pages.setdefault(day_of(arrival.read), []).append((arrival.number, arrival.records, size))
    assert sorted(pages) == list(range(20))
    for of_window in pages.values():
        assert of_window == [(1, 1, 1), (2, 3, 2), (3, 6, 3), (4, 10, 4), (5, 15, 5), (5, 15, None)]
    bot.require_complete()


def test_bots_are_read_in_their_turn_and_ahead_of_it_within_bounds() -> None:
    bots, source = [days(3, f"bot {number}") for number in range(8)], Source()
    with pool_of(bots, 16, source.pages) as pool:
        results = arrivals(pool, bots[0])
        next(results)
        time.sleep(0.3)
        assert source.read <= MOST_WAITING + MOST_WAITING_LATER + 16
        list(results)
        for bot in bots[1:]:
            assert {day_of(arrival.read) for arrival in arrivals(pool, bot)} == {0, 1, 2}
    for bot in bots:
        bot.require_complete()


def test_reading_stops_while_nobody_takes_the_pages() -> None:
    bot, source = days(), Source()
    with pool_of([bot], 4, source.pages) as pool:
        next(arrivals(pool, bot))
        time.sleep(0.3)
        assert source.read <= 4 + MOST_WAITING + 1


def test_an_error_in_one_window_ends_all() -> None:
    bot, source = days(), Source()

    def failing(span: BotSpan, read: WindowRead) -> Iterator[Page]:
        yield from [page for page in source.pages(span, read) if day_of(read) != 3]
        message = "no more"
        raise OSError(message)

    with pool_of([bot], 3, failing) as pool, pytest.raises(OSError, match="no more"):
        list(arrivals(pool, bot))
    assert source.read < 20 * PAGES


def test_windows_before_one_that_fails_are_brought_to_their_end() -> None:
    bot, source = days(), Source()

    def failing(span: BotSpan, read: WindowRead) -> Iterator[Page]:
        if day_of(read) == 3:
            message = "no more"
            raise OSError(message)
        for page in source.pages(span, read):
            time.sleep(0.02)
            yield page

    with pool_of([bot], 8, failing) as pool, pytest.raises(OSError, match="no more"):
        list(arrivals(pool, bot))
    assert bot.coverage.until == START + 3 * DAY


def test_a_window_may_also_fail_where_it_is_emitted() -> None:
    bot = days()

    def emit(pool: ReaderPool) -> None:
        for arrival in arrivals(pool, bot):
            if day_of(arrival.read) == 5 and arrival.page:
                pool.fail(bot, arrival.read, ValueError("not this one"))

    with pool_of([bot], 4, Source().pages) as pool, pytest.raises(ValueError, match="not this one"):
        emit(pool)
    assert bot.coverage.until == START + 5 * DAY


def test_somebody_is_called_every_second() -> None:
    class TooLongError(Exception):
        pass

    def slowly(_: BotSpan, __: WindowRead) -> Iterator[Page]:
        time.sleep(1.5)
        yield Page([])

    def stop() -> None:
        raise TooLongError

    bot = days()
    with pool_of([bot], 2, slowly) as pool, pytest.raises(TooLongError):
        list(pool.results(bot, stop))
    time.sleep(1.5)


def test_a_bug_in_the_plan_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = WindowPlanner.next

    def failing(self: WindowPlanner, in_flight: float, room: float = 30) -> WindowRead:
        if self.next_start == START + 3 * DAY:
            message = "no more"
            raise ValueError(message)
        return cut(self, in_flight, room)

    monkeypatch.setattr(WindowPlanner, "next", failing)
    bot = days()
    with pool_of([bot], 2, Source().pages) as pool, pytest.raises(ValueError, match="no more"):
        list(arrivals(pool, bot))


def test_of_a_window_that_is_cut_nothing_that_was_read_is_emitted() -> None:
    """One full page after another: more could be read at once, and nothing else is left to begin."""
    bot, records = span_of(START, START + DAY), 40_000
    asked: list[WindowRead] = []

    def pages(_: BotSpan, read: WindowRead) -> Iterator[Page]:
        asked.append(read)
        length = read.window.end - read.window.start
        left = round(records * length / DAY)
        while left > 0:
            left -= 1000
            time.sleep(0.01)
            yield Page([ROW] * min(1000, left + 1000), "more" if left > 0 else None)

    with pool_of([bot], 8, pages) as pool:
        came = [arrival for arrival in arrivals(pool, bot) if arrival.page]
    assert asked[0].window == span_of(START, START + DAY).planner.next(1).window
    assert all(arrival.read.window != asked[0].window for arrival in came)
    assert len(asked) > 4
    assert sum(len(arrival.page.data) for arrival in came if arrival.page) == pytest.approx(records, abs=len(asked))
    bot.require_complete()
