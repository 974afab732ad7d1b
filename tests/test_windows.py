from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate, cycle, pairwise, takewhile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.windows import Coverage, Window, WindowPlanner, next_bookmark, shows_selection

if TYPE_CHECKING:
    from random import Random

moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
spans = st.tuples(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=4000)))
DAY = timedelta(days=1)


@given(
    spans,
    st.timedeltas(DAY, timedelta(days=500)),
    st.integers(1, 1000),
    st.integers(1, 16),
    st.floats(0, 1000),
    st.lists(st.integers(0, 100_000), min_size=1),
)
def test_windows_cover_the_span_and_nothing_else(  # noqa: PLR0913, PLR0917
    span: tuple[datetime, timedelta],
    longest: timedelta,
    page_size: int,
    readers: int,
    in_flight: float,
    held: list[int],
) -> None:
    """Whatever they turn out to hold."""
    start, length = span
    end = start + length
    holds = cycle(held)
    planner = WindowPlanner(start, end, longest, page_size, readers)
    cut: list[Window] = []
    while len(cut) < 300 and (window := planner.next_window(in_flight)):
        cut.append(window)
        planner.learn(window, next(holds))
    assert cut[0].start_moment <= start < cut[0].start_moment + timedelta(seconds=1)
    if not planner.has_more:
        assert cut[-1].end_moment - timedelta(seconds=1) < end <= cut[-1].end_moment
    assert all(one.end == following.start for one, following in pairwise(cut))
    assert all(0 < window.end - window.start <= longest.total_seconds() for window in cut)


def windows_of(days: float, records_a_day: float, in_flight: float = 1.5, longest: int = 30) -> list[tuple[int, int]]:
    """The windows of a bot that is as busy all the time: their lengths in seconds, and their requests."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    planner = WindowPlanner(start, start + days * DAY, timedelta(days=longest), 1000, 8)
    cut = []
    while window := planner.next_window(in_flight):
        records = round((window.end - window.start) / 86_400 * records_a_day)
        planner.learn(window, records)
        cut.append((window.end - window.start, max(1, -(-records // 1000))))
    return cut


def test_a_small_bot_takes_some_tens_of_requests() -> None:
    cut = windows_of(3 * 365, 10)
    assert sum(requests for _, requests in cut) < 50
    assert max(length for length, _ in cut) == 30 * 86_400


def test_a_large_bot_has_a_checkpoint_every_few_tens_of_thousands_of_records() -> None:
    cut = windows_of(30, 200_000 / 30)
    assert max(requests for _, requests in cut) <= 20
    assert sum(requests for _, requests in cut) < 1.06 * 200


@pytest.mark.parametrize(("in_flight", "most"), [(0.3, 64), (1.5, 65), (6, 67)])
def test_few_requests_are_spent_on_pages_that_are_half_empty(in_flight: float, most: int) -> None:
    cut = windows_of(90, 60_000 / 90, in_flight)
    assert sum(requests for _, requests in cut) <= most
    assert len(cut) > in_flight


def test_an_hourly_run_is_one_request() -> None:
    assert windows_of(1 + 1 / 24, 300) == [(90_000, 1)]


def test_what_was_quiet_may_become_busy() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    planner = WindowPlanner(start, start + 3000 * DAY, 365 * DAY, 1000, 8)
    lengths = []
    for records in (0, 0, 0):
        window = planner.next_window(1)
        assert window
        planner.learn(window, records)
        lengths.append((window.end - window.start) // 86_400)
    assert lengths == [1, 16, 256]


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_coverage_is_whole_from_the_beginning_on_whatever_the_order(lengths: list[int], chance: Random) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    edges = list(accumulate(lengths, initial=int(start.timestamp())))
    cut = [Window(*edge) for edge in pairwise(edges)]
    finished: set[Window] = set()
    coverage = Coverage(start)
    whole_windows = 0
    for window in chance.sample(cut, len(cut)):
        finished.add(window)
        before = coverage.whole_until
        moved = coverage.finish(window, window.start_moment)
        whole = list(takewhile(finished.__contains__, cut))
        assert coverage.whole_until == (whole[-1].end_moment if whole else start)
        assert coverage.newest == (whole[-1].start_moment if whole else None)
        assert bool(moved) == (coverage.whole_until > before)
        whole_windows += moved
        assert whole_windows == len(whole)
    assert coverage.whole_until == cut[-1].end_moment


@given(moments, moments, moments)
def test_the_bookmark_is_the_newest_time_but_not_beyond_what_is_whole(
    one: datetime, other: datetime, whole_until: datetime
) -> None:
    assert next_bookmark(None, one, whole_until) == min(one, whole_until)
    moved = next_bookmark(one, other, whole_until)
    assert moved is not None
    assert moved >= one
    assert moved == one or moved <= whole_until


@given(moments, moments)
def test_nothing_seen_moves_nothing(bookmark: datetime, whole_until: datetime) -> None:
    assert next_bookmark(None, None, whole_until) is None
    assert next_bookmark(bookmark, None, whole_until) == bookmark


@pytest.mark.parametrize(
    ("began", "updated", "shown"),
    [
        (10, 20, None),
        (10, 101, None),
        (10, 102, "began"),
        (-1, 20, "updated"),
        (-1, 102, None),
        (-2, -1, None),
        (102, 103, None),
    ],
)
def test_what_shows_which_time_the_api_selects_by(began: int, updated: int, shown: str | None) -> None:
    window = Window(1_000_000, 1_000_100)
    moments = (datetime.fromtimestamp(1_000_000 + seconds, UTC) for seconds in (began, updated))
    assert shows_selection(window, *moments) == shown
