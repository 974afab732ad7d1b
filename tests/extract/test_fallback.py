"""A window that cannot be read as planned is read in another way; where there is none, that is the bot's error."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import msgspec
import pytest

from tap_deepconverse.api.errors import (
    TEMPORARY,
    APIError,
    CursorRejectedError,
    MayBeTooLargeError,
    PageTooLargeError,
)
from tap_deepconverse.extract.fallback import ExtractionError, FullPage, OddPagesError
from tap_deepconverse.extract.window import Reading, Window
from tap_deepconverse.records.page import Page
from tests.extract.test_lane import START, Fault, FaultyApi, lane_of, read
from tests.simulation import DAY, NOW, times_of

TOO_LARGE = PageTooLargeError("too large", "413")
PERHAPS = MayBeTooLargeError("perhaps", TEMPORARY)
EXPIRED = CursorRejectedError("expired", "400")
ENDLESS = OddPagesError("endless")
JUST_DATA = frozenset({"data"})

few_and_many_at_once = pytest.mark.parametrize("most_at_once", [1, 16])


def when(condition: Callable[[Reading, int, Page], bool], then: Exception | Callable[[Page], Page]) -> Fault:
    def fault(read: Reading, number: int, page: Page) -> Page:
        if not condition(read, number, page):
            return page
        if isinstance(then, Exception):
            raise then
        return then(page)

    return fault


def both(first: Fault, second: Fault) -> Fault:
    return lambda read, number, page: second(read, number, first(read, number, page))


def more(_: Reading, __: int, page: Page) -> Page:
    return replace(page, cursor="more")


def without_cursor(page: Page) -> Page:
    return replace(page, cursor=None, names=JUST_DATA)


def error_of(api: FaultyApi, start: int = START) -> str:
    lane = lane_of(api, start)
    read([lane], most_at_once=1)
    assert lane.failure is not None
    return str(lane.failure[1])


WHOLE: dict[str, Fault] = {
    "pages of 999 at most": when(lambda _, __, page: len(page.data) > 999, TOO_LARGE),
    "pages of 60 at most": when(lambda _, __, page: len(page.data) > 60, TOO_LARGE),
    "a record that needs a page of its own": when(
        lambda _, __, page: len(page.data) > 1 and b"7777" in map(bytes, page.data), TOO_LARGE
    ),
    "each cursor is refused": when(lambda _, number, __: number > 1, EXPIRED),
    "at most 2,000 records a query": when(lambda _, number, __: number == 2, lambda page: replace(page, cursor=None)),
    "at most 2,000 records a query, then an empty page": when(
        lambda _, number, __: number == 3, lambda page: replace(page, data=[], cursor=None)
    ),
    "at most 2,500 records a query": when(
        lambda _, number, __: number == 3, lambda page: replace(page, data=page.data[:500], cursor=None)
    ),
    "cursors that are missing in some windows": when(
        lambda read, _, page: page.cursor is not None and read.window.end % 3 > 0, without_cursor
    ),
    "no cursor at all": when(lambda _, __, ___: True, without_cursor),
    "pages of 60 whose cursors are refused": both(
        when(lambda _, __, page: len(page.data) > 60, TOO_LARGE), when(lambda _, number, __: number > 1, EXPIRED)
    ),
    "pages that do not end": when(lambda _, number, __: number > 3, ENDLESS),
    "nothing": when(lambda _, __, ___: False, TOO_LARGE),
}


@few_and_many_at_once
@pytest.mark.parametrize("what", WHOLE)
def test_it_is_read_whole_in_another_way(what: str, most_at_once: int) -> None:
    api = FaultyApi(times_of(300 if "all" in what else 20_000, 30), fault=WHOLE[what])
    lane = lane_of(api)
    taken = read([lane], most_at_once=most_at_once)
    assert (lane.failure, lane.span.until) == (None, NOW)
    assert taken.emitted.keys() == set(range(len(api.times)))
    assert api.requests <= (5_000 if "60" in what else 1_000 if "all" in what else 50 if what == "nothing" else 300)


@pytest.mark.parametrize(
    ("records", "error", "requests"), [(20_000, ENDLESS, 400), (0, ENDLESS, 100), (0, EXPIRED, 100)], ids=str
)
def test_where_there_is_no_other_way_it_is_an_error_soon(records: int, error: Exception, requests: int) -> None:
    api = FaultyApi(times_of(records, 30), fault=both(more, when(lambda _, number, __: number > 1, error)))
    assert error_of(api).startswith(f"{error}, in the window from ")
    assert api.requests <= requests


def test_a_record_that_is_too_large_by_itself_is_an_error() -> None:
    api = FaultyApi([NOW - 3600], fault=when(lambda _, __, page: bool(page.data), TOO_LARGE))
    assert error_of(api, NOW - 3600).startswith("too large, in the window from 2026-09-21T13:13:20Z to ")
    assert (api.reads[-1].page_size, api.reads[-1].window.length) == (1, 1)
    assert api.requests <= 50


def test_an_outage_is_waited_for_once_a_smaller_page_fails_too() -> None:
    api = FaultyApi(times_of(20_000, 30), fault=when(lambda read, _, __: not read.is_patient, PERHAPS))
    api.fault = both(api.fault, when(lambda *_: True, APIError("out", TEMPORARY)))
    assert error_of(api) == "out"
    assert [(read.page_size, read.is_patient) for read in api.reads] == [(1000, False), (500, False), (500, True)]


def test_where_other_pages_come_it_is_the_size_of_the_page() -> None:
    at = NOW - 10 * DAY
    is_large = lambda read, _, __: read.page_size > 100 and read.window.start < at < read.window.end  # noqa: E731
    api = FaultyApi(times_of(20_000, 30), fault=when(is_large, PERHAPS))
    lane = lane_of(api)
    read([lane])
    assert (lane.failure, lane.span.until) == (None, NOW)
    assert min(read.page_size for read in api.reads) == 62
    assert not any(read.is_patient for read in api.reads)


@pytest.mark.parametrize(("earlier", "is_end"), [([1000, 999], False), ([1000, 1000, 1], True)])
def test_a_full_last_page_is_the_end_if_another_query_has_returned_more(earlier: list[int], *, is_end: bool) -> None:
    full = FullPage(1000)
    last = Reading(Window(0, DAY), 1000)
    for reading, sizes in ((Reading(Window(0, DAY), 1000), earlier), (last, [1000, 1000])):
        for size in sizes:
            reading.sizes.append(size)
            page = Page([msgspec.Raw(b"{}")] * size, "more" if len(reading.sizes) < len(sizes) else None)
            with nullcontext() if is_end or reading.sizes != [1000, 1000] else pytest.raises(OddPagesError):
                full.take(page, reading)


@pytest.mark.parametrize(("last", "is_cut"), [(1000, True), (999, False)])
def test_where_windows_mean_nothing_and_a_query_is_cut_short_it_is_an_error(last: int, *, is_cut: bool) -> None:
    full, reading = FullPage(1000), Reading(Window(0, DAY), 1000, math.inf, math.inf)
    with pytest.raises(ExtractionError, match="does not keep to windows") if is_cut else nullcontext():
        for size, cursor in ((1000, "more"), (last, None)):
            reading.sizes.append(size)
            full.take(Page([msgspec.Raw(b"{}")] * size, cursor), reading)


def test_pages_that_come_short_do_not_make_all_others_shorter() -> None:
    """An API that drops records after it has cut its pages."""
    half: Fault = lambda _, __, page: replace(page, data=page.data[: len(page.data) // 2]) if page.cursor else page  # noqa: E731
    api = FaultyApi(times_of(60_000, 30), fault=half)
    read([lane_of(api)])
    assert {read.page_size for read in api.reads} == {1000}
