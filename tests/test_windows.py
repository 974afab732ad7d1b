from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.windows import next_bookmark, windows

moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
spans = st.tuples(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=4000)))
sizes = st.timedeltas(timedelta(days=1), timedelta(days=5000))


@given(spans, sizes)
def test_windows_cover_the_span_and_nothing_else(span: tuple[datetime, timedelta], longest: timedelta) -> None:
    start, length = span
    end = start + length
    cut = list(windows(start, end, longest))
    assert cut[0].start_moment <= start < cut[0].start_moment + timedelta(seconds=1)
    assert cut[-1].end_moment - timedelta(seconds=1) < end <= cut[-1].end_moment
    assert all(one.end == following.start for one, following in pairwise(cut))
    assert all(0 < window.end - window.start <= longest.total_seconds() for window in cut)
    assert len(cut) <= (length + timedelta(seconds=2)) / (longest - timedelta(seconds=1)) + 1


@given(moments, st.timedeltas(timedelta(0), timedelta(days=9)), sizes)
def test_an_empty_span_has_no_window(start: datetime, back: timedelta, longest: timedelta) -> None:
    assert list(windows(start, start - back, longest)) == []


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
