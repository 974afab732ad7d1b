from __future__ import annotations

import random
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_deepconverse.extract.density import Count, Density, Rhythm, parts_of, records_told_by

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
START = 1_767_225_600

lengths = st.integers(1, 40 * DAY)
records = st.integers(0, 1_000_000)


@st.composite
def counts(draw: st.DrawFn) -> list[Count]:
    """Counts in order of time, with gaps between some of them."""
    pieces = draw(st.lists(st.tuples(lengths, records, st.booleans()), max_size=8))
    edges = list(accumulate((length for length, _, _ in pieces), initial=START))
    return [
        Count(start, end, n)
        for (start, end), (_, n, is_counted) in zip(pairwise(edges), pieces, strict=True)
        if is_counted
    ]


@st.composite
def densities(draw: st.DrawFn) -> Density:
    """What may be known: counts, windows that were read since, and a rhythm."""
    density = Density(draw(counts()))
    at = START
    for length, n in draw(st.lists(st.tuples(lengths, records), max_size=5)):
        density.learn(at, at + length, n)
        density.rhythm.learn([Count(at, at + length, n)])
        at += length
    return density


@settings(deadline=None)
@given(densities(), st.integers(START - 10 * DAY, START + 100 * DAY), st.integers(1, 2 * WEEK), st.data())
def test_a_length_is_that_of_a_stretch_that_is_expected_to_hold_so_many(
    density: Density, start: int, seconds: int, data: st.DataObject
) -> None:
    """Up to two weeks, from which on whole weeks go by their mean."""
    whole = density.expected(start, start + seconds)
    if whole is None:
        assert not density.is_known
        return
    wanted = data.draw(st.floats(0, 2 * whole + 1))
    length = density.length(start, start + seconds, wanted)
    assert 0 <= length <= seconds
    if wanted >= whole * (1 + 1e-9):
        assert length == pytest.approx(seconds)
        return
    shorter, longer = density.expected(start, start + int(length)), density.expected(start, start + int(length) + 1)
    assert shorter is not None
    assert longer is not None
    assert shorter <= wanted * (1 + 1e-6) + 1e-6
    assert longer >= wanted * (1 - 1e-6) - 1e-6


@settings(deadline=None)
@given(densities(), st.integers(START, START + 100 * DAY), st.integers(0, 100 * DAY), st.integers(0, 100 * DAY))
def test_what_is_expected_of_two_stretches_is_expected_of_both_together(
    density: Density, start: int, one: int, other: int
) -> None:
    """Less than two weeks, from which on whole weeks go by their mean."""
    one, other = one % WEEK, other % WEEK
    if not density.is_known:
        return
    whole = density.expected(start, start + one + other) or 0
    parts = (density.expected(start, start + one) or 0) + (density.expected(start + one, start + one + other) or 0)
    assert whole == pytest.approx(parts, rel=1e-6, abs=1e-6)


def test_nothing_is_known_at_first() -> None:
    density = Density()
    assert not density.is_known
    assert density.expected(START, START + DAY) is None
    assert density.known_until == 0


def test_windows_that_were_read_are_the_measure_where_nothing_was_counted() -> None:
    density = Density()
    density.learn(START, START + DAY, 2_400)
    assert density.expected(START + DAY, START + DAY + HOUR) == pytest.approx(100)


def test_silence_says_nothing_of_what_comes_after_it() -> None:
    density = Density()
    density.learn(START, START + 300 * DAY, 0)
    density.learn(START + 300 * DAY, START + 301 * DAY, 2_400)
    assert density.expected(START + 301 * DAY, START + 302 * DAY) == pytest.approx(2_400)


def test_counts_are_corrected_by_how_they_turn_out() -> None:
    density = Density([Count(START, START + DAY, 10_000), Count(START + DAY, START + 2 * DAY, 20_000)])
    assert density.expected(START + DAY, START + 2 * DAY) == pytest.approx(20_000)
    was_confirmed = density.is_confirmed
    density.learn(START, START + DAY, 30_000)
    assert (was_confirmed, density.is_confirmed) == (False, True)
    assert 55_000 < (density.expected(START + DAY, START + 2 * DAY) or 0) <= 60_000


def test_a_rhythm_is_learnt_from_whole_days() -> None:
    """Ten times as busy from eight to twelve as at other times."""
    rhythm = Rhythm()
    for day in range(14):
        hours = [(START + day * DAY + hour * HOUR, 1000 if 8 <= hour < 12 else 100) for hour in range(24)]
        rhythm.learn([Count(start, start + HOUR, n) for start, n in hours])
    busy, quiet = rhythm.at(START + 20 * DAY + 9 * HOUR), rhythm.at(START + 20 * DAY + 20 * HOUR)
    assert 7 < busy / quiet < 10
    mean = sum(rhythm.at(START + 20 * DAY + hour * HOUR) for hour in range(24)) / 24
    assert mean == pytest.approx(1, rel=0.1)


def test_an_hour_says_nothing_of_hours() -> None:
    rhythm = Rhythm()
    rhythm.learn([Count(START, START + HOUR, 10_000), Count(START + HOUR, START + 2 * HOUR, 0)])
    assert rhythm.at(START) == rhythm.at(START + HOUR) == 1


@given(
    st.integers(0, 4_000_000_000),
    st.integers(1, 100 * DAY),
    st.lists(st.floats(-1e10, 1e10) | st.integers(0, 100 * DAY)),
    st.integers(1, 100),
    st.booleans(),
)
def test_parts_cover_the_window_without_a_gap(
    start: int, length: int, offsets: list[Any], parts: int, is_sorted: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """Whatever the times are, and wherever they lie."""
    times = [start + offset for offset in (sorted(offsets) if is_sorted else offsets)]
    edges = parts_of(start, start + length, times, parts)
    assert edges[0] == start
    assert edges[-1] == start + length
    assert all(one < following for one, following in pairwise(edges))
    assert len(edges) <= parts + 3


@pytest.mark.parametrize("seconds", [0.0, 0.25])
def test_a_window_that_holds_all_in_one_second_has_more_than_one_part(seconds: float) -> None:
    """In whatever order: else it would be cut for ever."""
    for moment in (START, START + 500, START + 999):
        rising = [moment + seconds * n / 100 for n in range(100)]
        scattered = [moment + seconds * (n * 37 % 100) / 100 for n in range(100)]
        for times in (rising, rising[::-1], scattered, [START + 1000.0] * 100):
            assert len(parts_of(START, START + 1000, times, 8)) > 2


def test_scattered_times_show_where_the_records_lie() -> None:
    """Nine of ten in the window's last tenth."""
    chance = random.Random(1)
    times = [START + (chance.uniform(900, 1000) if number % 10 else chance.uniform(0, 900)) for number in range(1000)]
    edges = parts_of(START, START + 1000, times, 10)
    assert 8 <= len([edge for edge in edges[:-1] if edge >= START + 900]) <= 9


@pytest.mark.parametrize(("is_rising", "expected"), [(True, range(500, 1001)), (False, range(501))])
def test_ordered_times_show_where_the_records_begin(is_rising: bool, expected: range) -> None:  # noqa: FBT001
    times = [START + 500.0 + (n if is_rising else -n) / 10 for n in range(100)]
    _, *inner, _ = parts_of(START, START + 1000, times, 5)
    assert len(inner) >= 4
    assert all(edge - START in expected for edge in inner)


def test_days_are_learnt_from_windows_of_a_day_each() -> None:
    """However short the windows are: some days together say which of them are busy."""
    rhythm = Rhythm()
    for day in range(14):
        start = START + day * DAY
        rhythm.learn([Count(start, start + DAY, 10_000 if day % 7 in {2, 3} else 40_000)])
    quiet, busy = rhythm.at(START + 23 * DAY), rhythm.at(START + 25 * DAY)
    assert 3 < busy / quiet < 4.5


def test_silence_says_nothing_of_hours_and_days() -> None:
    rhythm = Rhythm()
    for start in (START, START + 40 * DAY):
        rhythm.learn([Count(start, start + 40 * DAY, 0)])
        rhythm.learn([Count(start, start + DAY, 0)])
        assert rhythm.at(start) == 1
    rhythm.learn([Count(START + 80 * DAY, START + 90 * DAY, 5_000)])
    assert all(0.9 < rhythm.at(START + 90 * DAY + hour * HOUR) < 1.1 for hour in range(7 * 24))


@pytest.mark.parametrize("is_rising", [True, False])
def test_what_was_read_before_an_ordered_page_is_cut_by_pages(is_rising: bool) -> None:  # noqa: FBT001
    """The fourth page of a window that is a tenth read: three pages lie before it."""
    times = [START + (90.0 if is_rising else 910.0) + (n if is_rising else -n) / 100 for n in range(1000)]
    edges = parts_of(START, START + 1000, times, 5, pages=4)
    before = [START, START + 30, START + 60, START + 90] if is_rising else [START + 910, START + 940, START + 970]
    assert set(before) <= set(edges)
    assert len(edges) == 9


def test_an_ordered_page_tells_how_many_records_there_are() -> None:
    rising = [float(START + n) for n in range(100)]
    assert records_told_by(START, START + 1000, rising) == pytest.approx(1000, rel=0.02)
    assert records_told_by(START - 900, START + 99, rising[::-1]) == pytest.approx(1000, rel=0.02)
    assert records_told_by(START, START + 1000, [float(START + n * 37 % 100) for n in range(100)]) == 0
    assert records_told_by(START, START + 1000, [START - 5.0] * 100) == 0
    assert records_told_by(START, START + 1000, []) == 0


def test_falling_order_is_seen_where_many_records_share_a_second() -> None:
    falling = [float(second) for second in range(100, 50, -1) for _ in range(4)]
    assert parts_of(0, 100, falling, 4)[:-1] == parts_of(0, 100, falling[::4], 4)[:-1]
    assert records_told_by(0, 101, falling) > len(falling)
