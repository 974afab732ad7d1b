from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise, takewhile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.extract.checkpoint import Coverage, next_bookmark
from tap_deepconverse.extract.density import Count
from tap_deepconverse.extract.windows import Window

if TYPE_CHECKING:
    from random import Random

START = 1_767_225_600

moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_coverage_is_complete_from_the_beginning_on_whatever_the_order(lengths: list[int], chance: Random) -> None:
    edges = list(accumulate(lengths, initial=START))
    cut = [Window(*edge) for edge in pairwise(edges)]
    finished: set[Window] = set()
    coverage = Coverage(START)
    for window in chance.sample(cut, len(cut)):
        finished.add(window)
        before = coverage.until
        moved = coverage.finish(window, window.start_moment, [Count(window.start, window.end, 7)])
        complete = list(takewhile(finished.__contains__, cut))
        assert coverage.until == (complete[-1].end if complete else START)
        assert coverage.until_moment == datetime.fromtimestamp(coverage.until, UTC)
        assert coverage.newest == (complete[-1].start_moment if complete else None)
        assert moved == (coverage.until > before)
        assert [(count.start, count.end) for count in coverage.counts] == [(w.start, w.end) for w in complete]
    assert coverage.until == cut[-1].end


def test_a_window_without_records_takes_nothing_from_the_newest_time() -> None:
    coverage = Coverage(START)
    newest = datetime.fromtimestamp(START + 7, UTC)
    coverage.finish(Window(START, START + 10), newest, [])
    coverage.finish(Window(START + 10, START + 20), None, [])
    coverage.finish(Window(START + 20, START + 30), newest - timedelta(seconds=5), [])
    assert (coverage.until, coverage.newest) == (START + 30, newest)


def test_a_window_that_was_left_out_keeps_all_after_it_from_counting() -> None:
    coverage = Coverage(START)
    assert not coverage.finish(Window(START + 1, START + 10), coverage.until_moment, [])
    assert not coverage.finish(Window(START + 10, START + 20), coverage.until_moment, [])
    assert (coverage.until, coverage.newest) == (START, None)


@given(moments, moments, moments)
def test_the_bookmark_is_the_newest_time_but_not_beyond_what_is_complete(
    one: datetime, other: datetime, complete_until: datetime
) -> None:
    assert next_bookmark(None, one, complete_until) == min(one, complete_until)
    moved = next_bookmark(one, other, complete_until)
    assert moved is not None
    assert moved >= one
    assert moved == one or moved <= complete_until


@given(moments, moments)
def test_nothing_seen_moves_nothing(bookmark: datetime, complete_until: datetime) -> None:
    assert next_bookmark(None, None, complete_until) is None
    assert next_bookmark(bookmark, None, complete_until) == bookmark
