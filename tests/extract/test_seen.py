from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.extract.overlap import WindowEdges
from tap_deepconverse.extract.seen import LONGEST_BY_TENS, Seen
from tap_deepconverse.extract.windows import Window
from tap_deepconverse.records.timestamps import format_time

START = 1_767_225_600


def seen_of(window: Window, moments: list[int]) -> Seen:
    seen = Seen(WindowEdges(window))
    for moment in moments:
        seen.tens[format_time(datetime.fromtimestamp(moment, UTC))[: len("2026-01-01T00:0")]] += 1
    return seen


@given(
    st.integers(0, 10_000),
    st.integers(1, 2 * LONGEST_BY_TENS),
    st.lists(st.integers(-100_000, 2 * LONGEST_BY_TENS)),
    st.integers(0, 1_000_000),
)
def test_counts_cover_the_window_and_are_as_many_together(
    first: int, length: int, offsets: list[int], records: int
) -> None:
    """Whatever times the records have: some may lie outside of it."""
    window = Window(START + first, START + first + length)
    counts = seen_of(window, [window.start + offset for offset in offsets]).counts(records)
    assert (counts[0].start, counts[-1].end) == (window.start, window.end)
    assert all(one.end == following.start for one, following in pairwise(counts))
    assert all(count.start < count.end for count in counts)
    assert sum(count.records for count in counts) == pytest.approx(records)


def test_counts_say_where_the_records_lie() -> None:
    counts = seen_of(Window(START, START + 7200), [START + 1000] * 3 + [START + 3700]).counts(4)
    assert [((count.start - START) // 600, (count.end - START) // 600, count.records) for count in counts] == [
        (0, 1, 0), (1, 2, 3), (2, 6, 0), (6, 7, 1), (7, 12, 0),
    ]  # fmt: skip
