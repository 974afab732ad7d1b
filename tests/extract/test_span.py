from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.api.errors import CursorRejectedError, PageTooLargeError
from tap_deepconverse.extract.another_way import ExtractionError
from tap_deepconverse.extract.last_page import MissingCursorError
from tap_deepconverse.extract.windows import Window, WindowRead
from tests.simulation import span_of

if TYPE_CHECKING:
    from tap_deepconverse.extract.span import BotSpan

START, DAY = 1_767_225_600, 86_400
WINDOW = Window(START, START + DAY)


def moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(START + seconds, UTC):%Y-%m-%dT%H:%M:%S}.000000+00:00"


def span(days: int = 3, **others: Any) -> BotSpan:
    return span_of(START, START + days * DAY, **others)


@pytest.mark.parametrize(
    ("bookmark", "lookback_days", "begins"), [(None, 1, 0), (0, 1, 0), (5, 1, 4), (5, 0, 5), (5, 7, 0), (-3, 1, 0)]
)
def test_a_run_begins_the_lookback_behind_the_bookmark_but_not_before_the_start_date(
    bookmark: int | None, lookback_days: int, begins: int
) -> None:
    at = None if bookmark is None else START + bookmark * DAY
    assert span(9, bookmark=at, lookback_days=lookback_days).start.timestamp() == START + begins * DAY


def test_a_window_whose_cursor_is_rejected_is_read_again_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bot = span()
    (again,) = bot.in_another_way(WindowRead(WINDOW, 1000), CursorRejectedError("the cursor is rejected"))
    assert (again.window, again.page_size) == (WINDOW, 1000)
    assert "the cursor is rejected; reading the window from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z" in caplog.text
    with pytest.raises(ExtractionError, match=r"twice in the window from .*; .* set `window_days` lower"):
        bot.in_another_way(again, CursorRejectedError("the cursor is rejected"))


def test_a_window_that_is_halved_again_and_again_is_a_warning_or_two(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bot = span()
    for error, lines in ((MissingCursorError("no cursor"), 1), (PageTooLargeError("too large"), 2)):
        caplog.clear()
        for read in bot.in_another_way(WindowRead(WINDOW, 1000), error):
            for half in bot.in_another_way(read, error):
                bot.in_another_way(replace(half, page_size=500), error)
        assert len(caplog.messages) == lines


def test_a_page_that_is_too_large_is_read_in_halves_down_to_single_records() -> None:
    bot, read, sizes = span(), WindowRead(WINDOW, 1000), list[int]()
    while read.page_size > 1:
        halves = bot.in_another_way(read, PageTooLargeError("too large"))
        assert tuple(half.window for half in halves) == read.window.halves()
        read = halves[-1]
        sizes.append(read.page_size)
    assert sizes == [500, 250, 125, 62, 31, 15, 7, 3, 1]
    with pytest.raises(ExtractionError, match=r"too large, even with one record, in the window"):
        bot.in_another_way(read, PageTooLargeError("too large"))


def test_an_older_copy_from_an_adjacent_window_is_not_emitted() -> None:
    bot = span()
    first, second = bot.page_came(WINDOW, 1), bot.page_came(Window(START + DAY, START + 2 * DAY), 1)
    assert bot.admit(second, {"_id": "a", "t": moment(DAY), "v": 2})
    assert bot.admit(first, {"_id": "a", "t": moment(DAY), "v": 1})
    inside = {"_id": "b", "t": moment(60)}
    assert bot.admit(first, inside)
    assert bot.admit(first, {**inside, "t": moment(50)})  # no other window can hold it
    assert bot.admit(first, {"_id": "c", "t": None})


def test_a_span_with_a_window_left_out_is_not_complete() -> None:
    bot = span()
    for window in (WINDOW, Window(START + 2 * DAY, START + 3 * DAY)):
        seen = bot.page_came(window, 1)
        bot.admit(seen, {"_id": "a", "t": moment(window.end - START - 60)})
        bot.finish(window, 1)
    assert bot.complete_until.timestamp() == START + DAY
    assert bot.coverage.newest is not None
    assert bot.coverage.newest.timestamp() == START + DAY - 60
    with pytest.raises(ExtractionError, match="complete only up to 2026-01-02T00:00:00Z"):
        bot.require_complete()
    bot.finish(Window(START + DAY, START + 2 * DAY), 0)
    bot.require_complete()


def test_what_has_been_filled_is_nothing_to_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bot = span(bookmark=START + 3 * DAY)
    assert bot.is_empty
    bot.sum_up()
    assert "nothing to do up to 2026-01-04 00:00 UTC, since its bookmark is at 2026-01-04 00:00 UTC" in caplog.text
    assert "use another state or a full refresh" in caplog.text
    later = span_of(START + DAY, START)
    assert later.is_empty
    later.sum_up()
    assert "nothing to do up to 2026-01-01 00:00 UTC, since `start_date` is 2026-01-02" in caplog.text
