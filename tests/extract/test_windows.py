from __future__ import annotations

import math
from itertools import cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_deepconverse.extract.density import Count, Density
from tap_deepconverse.extract.windows import MOST_PAGES, Window, WindowPlanner, WindowRead

DAY = 86_400
START = 1_767_225_600

spans = st.tuples(st.integers(0, 4_000_000_000), st.integers(1, 4_000 * DAY)).map(
    lambda span: Window(span[0], span[0] + span[1])
)
in_flights = st.floats(0.01, 1000)


def planner_of(span: Window, *, longest: int = 30 * DAY, page_size: int = 1000, counts: list[Count] | None = None,
    first: int = DAY) -> WindowPlanner:  # fmt: skip
    return WindowPlanner(span, longest=longest, page_size=page_size, first=first, density=Density(counts or []))


def planned(planner: WindowPlanner, in_flight: float) -> WindowRead | None:
    return None if planner.next_start is None else planner.next(in_flight)


@settings(deadline=None)
@given(
    spans,
    st.integers(DAY, 500 * DAY),
    st.integers(1, 1000),
    in_flights,
    st.lists(st.integers(0, 100_000), min_size=1),
    st.integers(0, 10_000),
)
def test_windows_cover_the_span_and_nothing_else(  # noqa: PLR0913, PLR0917
    span: Window, longest: int, page_size: int, in_flight: float, held: list[int], counted: int
) -> None:
    """Whatever they turn out to hold, and whatever an earlier run has counted."""
    holds = cycle(held)
    counts = [Count(span.start, (span.start + span.end) // 2, counted)]
    planner = planner_of(span, longest=longest, page_size=page_size, counts=counts)
    cut: list[Window] = []
    while len(cut) < 300 and (read := planned(planner, in_flight)):
        cut.append(read.window)
        planner.learn(read, next(holds))
    assert cut[0].start == span.start
    if planner.next_start is None:
        assert cut[-1].end == span.end
    else:
        assert planner.next_start == cut[-1].end
    assert all(one.end == following.start for one, following in pairwise(cut))
    assert all(0 < window.end - window.start <= longest for window in cut)


@settings(deadline=None)
@given(spans, in_flights, st.data())
def test_whatever_is_cut_anew_or_read_in_halves_all_is_read_once(
    span: Window, in_flight: float, data: st.DataObject
) -> None:
    planner = planner_of(span, longest=1000 * DAY)
    complete: list[Window] = []
    for number in range(500):
        if (read := planned(planner, in_flight)) is None:
            break
        window = read.window
        fate = data.draw(st.sampled_from(["complete", "halves", "cut"])) if number < 8 else "complete"
        if fate == "complete":
            complete.append(window)
            planner.learn(read, data.draw(st.integers(0, 100_000)) if number < 8 else 7)
        elif fate == "halves":
            planner.again(*(WindowRead(half, 500) for half in window.halves()))
        else:
            times = data.draw(st.lists(st.floats(window.start, window.end), max_size=20))
            planner.cut_anew(read, 1, times, in_flight)
        assert planner.next_start is None or planner.next_start <= span.end
    complete.sort(key=lambda window: window.start)
    assert all(one.end == following.start for one, following in pairwise(complete))
    if complete and planner.next_start is None:
        assert (complete[0].start, complete[-1].end) == (span.start, span.end)


@settings(deadline=None)
@given(st.integers(0, 200), in_flights, st.data())
def test_parts_of_a_window_that_is_cut_anew_are_shorter_than_it(
    seconds: int, in_flight: float, data: st.DataObject
) -> None:
    """Else it would be cut for ever: all that it holds may lie in one second, after a bulk import."""
    window = Window(START, START + MOST_PAGES + seconds)
    moment = data.draw(st.integers(window.start, window.end - 1))
    times = data.draw(st.lists(st.floats(moment, moment + 1), min_size=1, max_size=30))
    planner = planner_of(Window(window.end, window.end + 1))
    planner.cut_anew(WindowRead(window, 1000), 1, times, in_flight)
    parts = []
    while (start := planner.next_start) is not None and start < window.end:
        parts.append(planner.next(in_flight).window)
    assert len(parts) > 1


def windows_of(
    days: float, records_a_day: float, in_flight: float = 1.5, longest: int = 30 * DAY, first: int = DAY
) -> list[tuple[int, int]]:
    """The windows of a bot that is as busy all the time: their lengths in seconds, and their requests."""
    planner = planner_of(Window(START, START + int(days * DAY)), longest=longest, first=first)
    cut = []
    while read := planned(planner, in_flight):
        length = read.window.end - read.window.start
        records = round(length / DAY * records_a_day)
        planner.learn(read, records)
        cut.append((length, max(1, math.ceil(records / 1000))))
    return cut


def test_a_small_bot_takes_some_tens_of_requests() -> None:
    cut = windows_of(3 * 365, 10)
    assert sum(requests for _, requests in cut) < 50
    assert max(length for length, _ in cut) == 30 * DAY


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
    assert windows_of(1 + 1 / 24, 300, first=2 * DAY) == [(90_000, 1)]


def test_what_was_quiet_may_become_busy() -> None:
    planner = planner_of(Window(START, START + 3000 * DAY), longest=2000 * DAY)
    lengths = []
    for _ in range(3):
        read = planner.next(1)
        planner.learn(read, 0)
        lengths.append((read.window.end - read.window.start) // DAY)
    assert lengths == [1, 30, 900]


@pytest.mark.parametrize("in_flight", [1, 6, 16])
def test_what_an_earlier_run_has_counted_is_planned_for_at_once(in_flight: float) -> None:
    span = Window(START, START + 2 * DAY)
    planner = planner_of(span, counts=[Count(START, START + DAY, 500), Count(START + DAY, START + 2 * DAY, 50_000)])
    expected = []
    while read := planned(planner, in_flight):
        expected.append(read.expected)
    assert sum(expected) == pytest.approx(50_500, rel=0.05)
    assert all(records <= MOST_PAGES * 1000 for records in expected)
    assert len(expected) >= in_flight


def test_a_window_that_takes_long_alone_is_cut_and_one_that_does_not_is_not() -> None:
    planner = planner_of(Window(START, START + DAY), first=2 * DAY)
    read = planner.next(6)
    assert planner.is_worth_a_cut(read, 1, [], is_idle=True, in_flight=6)
    assert not planner.is_worth_a_cut(read, 1, [], is_idle=True, in_flight=1)
    assert not planner.is_worth_a_cut(WindowRead(Window(START, START + 5), 1000), 1, [], is_idle=True, in_flight=6)
    assert not planner.is_worth_a_cut(WindowRead(read.window, 500), 1, [], is_idle=True, in_flight=6)
    planner.cut_anew(read, 1, [START + 60.0 * n for n in range(1000)], 6)
    assert planner.has_parts
    part = planner.next(6)
    assert part.is_part
    assert part.window.start == START


def test_a_window_has_halves_down_to_a_second() -> None:
    assert Window(10, 13).halves() == (Window(10, 11), Window(11, 13))
    assert Window(10, 11).halves() == (Window(10, 11),)


def test_a_window_is_named_by_its_times() -> None:
    name = "the window from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z"
    assert str(Window(START, START + DAY)) == name
