"""The span of a bot: where it begins, how far it is complete, and which records leave."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.extract.span import MOST_ASTRAY, BotSpan, SpanSettings
from tap_deepconverse.extract.window import DAY, HOUR, Reading, Window
from tap_deepconverse.records.values import format_time
from tests.simulation import Api, lane_of

NOW = datetime(2026, 9, 21, 12, 30, 5, tzinfo=UTC)
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
FIRST = int(BEGIN.timestamp())


def moment(days: float, seconds: float = 0) -> datetime:
    return BEGIN + timedelta(days=days, seconds=seconds)


def settings(lookback_days: int = 0, end: datetime = NOW, *, is_end_given: bool = False) -> SpanSettings:
    return SpanSettings(BEGIN, end, is_end_given, 30, lookback_days, "version", "began")


def span(bookmark: datetime | None = None, complete_until: datetime | None = None, **more: Any) -> BotSpan:
    return BotSpan(settings(**more), bookmark, complete_until)


def record(identity: str, version: datetime | str | None, began: datetime | str | None = None) -> dict[str, Any]:
    texts = [each and (each if isinstance(each, str) else format_time(each)) for each in (version, began)]
    return {"_id": identity, "version": texts[0], "began": texts[1]}


def days(first: float, last: float) -> Reading:
    return Reading(Window(FIRST + round(first * DAY), FIRST + round(last * DAY)), 1000)


# --- Where it begins ---


@pytest.mark.parametrize(
    ("lookback_days", "bookmark", "complete_until", "start"),
    [
        (3, None, None, 0),
        (3, None, 10, 0),
        (3, 10, None, 7),  # an old state
        (0, 10, None, 10),
        (3, 10, 10, 7),
        (3, 10, 12, 9),
        (3, 10, 20, 17),  # silent
        (0, 10, 20, 19),
        (0, 10, 10.5, 10),
        (1, 10, 10.5, 9.5),
        (30, 10, 20, 0),
        (3, 2, None, 0),
        (3, -50, 10, 7),
    ],
)
def test_a_run_begins_a_lookback_before_what_is_complete(
    lookback_days: int, bookmark: float | None, complete_until: float | None, start: float
) -> None:
    before, until = (None if each is None else moment(each) for each in (bookmark, complete_until))
    assert span(before, until, lookback_days=lookback_days).reached == moment(start)


def test_a_span_that_is_filled_already_is_empty() -> None:
    end = moment(5)
    assert span(moment(5), end=end, is_end_given=True, lookback_days=3).is_empty
    assert span(moment(9), end=end).is_empty
    assert not span(moment(4), end=end, is_end_given=True).is_empty
    assert not span(moment(5), end=end, lookback_days=3).is_empty
    assert span(moment(9), end=end).planner.next_start is None


# --- The bookmark ---


def test_the_bookmark_is_the_newest_time_but_not_beyond_what_is_complete() -> None:
    bot = span()
    first, second = days(0, 1), days(1, 2)
    assert bot.newest is None
    bot.admit(second, record("b", moment(1.5)))
    assert not bot.finish(second)
    assert bot.newest is None
    bot.admit(first, record("a", moment(5), moment(0.5)))  # selected by its beginning, changed later
    assert bot.finish(first)
    assert bot.reached == bot.newest == moment(2)
    bot.finish(days(2, 10))
    assert bot.newest == moment(5)


@pytest.mark.parametrize("other", ["0001-01-01T00:00:00.000000+00:00", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1899, 1, 1, tzinfo=UTC), NOW, NOW + timedelta(days=365), "9999-12-31T23:59:59.999999+00:00"])  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_times_outside_of_the_span_move_nothing(other: datetime | str, *, is_first: bool) -> None:
    bot = span()
    whole = Reading(Window(FIRST, int(NOW.timestamp())), 1000)
    records = [record("odd", other, other), record("odd too", other), record("a", moment(1), moment(1))]
    for each in records if is_first else records[::-1]:
        assert bot.admit(whole, each)
    bot.finish(whole)
    assert bot.newest == moment(1)
    assert bot.astray == 0


@given(
    edges=st.sets(st.integers(1, 20 * DAY), max_size=12).map(sorted),
    records=st.lists(st.tuples(st.integers(-DAY, 25 * DAY), st.integers(-DAY, 25 * DAY)), max_size=40),
    data=st.data(),
)
def test_windows_in_any_order_come_to_the_same(
    edges: list[int], records: list[tuple[int, int]], data: st.DataObject
) -> None:
    end = edges[-1] if edges else DAY
    pairs = itertools.pairwise(dict.fromkeys([0, *edges, end]))
    windows = [Window(FIRST + first, FIRST + last) for first, last in pairs]

    def read_in(order: list[Window]) -> BotSpan:
        bot = span(end=moment(0, end))
        for window in order:
            seen, before = Reading(window, 1000), bot.until
            found = [
                record(str(number), moment(0, version), moment(0, began))
                for number, (version, began) in enumerate(records)
                if window.start - 1 <= FIRST + began <= window.end
            ]
            for each in found:
                bot.admit(seen, each)
            assert bot.finish(seen) == (bot.until > before)
            assert bot.newest is None or BEGIN <= bot.newest <= bot.reached
            assert all(hour + HOUR <= bot.until for hour in bot.counts)
        assert bot.reached == moment(0, end)
        return bot

    in_order, shuffled = read_in(windows), read_in(data.draw(st.permutations(windows)))
    assert (in_order.newest, in_order.counts) == (shuffled.newest, shuffled.counts)


# --- Which records leave ---


def test_older_copies_where_windows_overlap_are_dropped() -> None:
    bot = span()
    first, second = days(0, 1), days(1, 2)
    edge, late = moment(1), moment(1, 0.5)
    assert bot.admit(second, record("a", late))
    assert not bot.admit(first, record("a", edge))
    assert bot.admit(first, record("a", late))
    assert bot.admit(second, record("a", moment(1.5), edge))
    assert not bot.admit(first, record("a", late, edge))
    assert bot.admit(first, record("b", edge))


def test_records_without_a_time_leave() -> None:
    bot = span()
    first = days(0, 1)
    for _ in range(2):
        assert bot.admit(first, record("a", None))
        assert bot.admit(first, record("a", None, moment(0.5)))
    bot.finish(first)
    assert bot.newest is None


def test_records_in_the_second_that_two_windows_share_are_not_far_from_either() -> None:
    bot = span()
    for number in range(1, 10):
        for window in (days(number - 1, number), days(number, number + 1)):
            assert bot.admit(window, record(str(number), moment(number, -0.5)))
    assert bot.astray == 0


@pytest.mark.parametrize("which", ["version", "began"])
def test_by_which_time_the_api_selects(which: str) -> None:
    bot = span()
    inside, outside = moment(3.5), moment(5)
    versions = (inside, outside) if which == "version" else (outside, inside)
    window = days(3, 4)
    bot.admit(window, record("a", inside, inside))
    bot.admit(window, record("b", outside, outside))
    bot.admit(window, record("c", NOW - timedelta(minutes=5), inside))  # may have changed a moment ago
    assert bot.selects_by == ""
    bot.admit(window, record("d", *versions))
    assert bot.selects_by == which


# --- Counts ---


def test_only_whole_hours_are_counted() -> None:
    bot = span(moment(0.5, 600))
    hours = [moment(0.5, 900), moment(0.5, 4000), moment(0.5, 4001), moment(0.5, 7500)]
    first = Reading(Window(bot.until, bot.until + 2 * HOUR), 1000)
    for number, time in enumerate(hours):
        bot.admit(first, record(str(number), time))
    bot.finish(first)
    noon = FIRST + DAY // 2
    assert bot.counts == {noon + HOUR: 2}
    bot.finish(Reading(Window(first.window.end, first.window.end + HOUR), 1000))
    assert bot.counts == {noon + HOUR: 2, noon + 2 * HOUR: 1}


# --- In one ---


def test_an_api_that_does_not_keep_to_windows_is_read_in_one() -> None:
    bot = span()
    lane = lane_of(bot, Api([]))
    assert all(lane.next() for _ in range(3))
    bot.finish(days(0, 1))
    lane.read_in_one()
    reading = lane.next()
    assert reading
    assert reading.window == Window(FIRST + DAY, int(NOW.timestamp()))
    assert lane.open == [reading]
    for number in range(2 * MOST_ASTRAY):
        bot.admit(reading, record(str(number % 10), moment(0.5)))
    assert bot.astray < MOST_ASTRAY
    first, second = reading.window.parts(2)  # as if its pages were too large
    for window in (first, second):
        for number in range(2 * MOST_ASTRAY):
            bot.admit(Reading(window, 500), record(str(number), moment(0.5)))
    assert bot.astray < MOST_ASTRAY
    assert lane.finish(reading)
    assert bot.reached == NOW
