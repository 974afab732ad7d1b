"""Decides how long each window is. Pure: no HTTP, no Singer, no clock. Times are Unix seconds.

A window costs at least one request, and its last page is seldom full: long windows are cheap. But a window is read page
by page: only several windows at once use the whole rate limit. So a window holds what is left to read, divided by
the number of requests in flight. How many records a time holds is a forecast, which each complete window corrects.
"""

import math
from dataclasses import replace

from tap_deepconverse.extract.forecast import Forecast
from tap_deepconverse.extract.window import DAY, MOST_PAGES, Reading, Window

FIRST_WINDOW = DAY
"""Seconds. A day shows how busy a bot is, and seldom takes more than a few requests."""
MOST_AHEAD = 30
"""Pages of all windows that are open at once: this is how often a checkpoint comes."""
GROWTH = 8
"""How many times longer than any window before one may be: a quiet bot may become busy."""
MARGIN = 2.5
"""Standard deviations by which the expected records stay below full pages: a few records more cost a whole request."""
SILENCE = 0.05
"""Pages. Where fewer were expected, a full first page shows that nothing is known about this time."""
GUESSED_PAGES = 12
"""Pages assumed in such a window."""
MOST_PARTS = 24
"""Parts of a window that is cut, unless more requests are in flight. A server that cuts pages short makes many."""


class Planner:
    """Cuts a span of time into windows, the earliest first, as it becomes known how busy the bot is.

    Everywhere, `in_flight` is how many concurrent requests use the full rate limit, and `page_size` how many records a
    full page holds.
    """

    def __init__(self, span: Window, *, longest: int, first: int, forecast: Forecast) -> None:
        """Plan to read a span in windows of `longest` seconds at most, or of `first` while nothing is known."""
        self.forecast = forecast
        self._left = span
        self._longest = longest
        self._first = min(first, longest)
        self._longest_yet = self._first
        self._again: list[Reading] = []  # before all that is left

    @property
    def next_start(self) -> int | None:
        """The start of the next window, or None if none is left."""
        if self._again:
            return self._again[0].window.start
        return self._left.start if self._left.length > 0 else None

    @property
    def expected_left(self) -> float | None:
        """How many records to expect in what is not planned yet, or None if nothing is known."""
        return self.forecast.expected(self._left) if self.forecast.is_known else None

    def pages(self, in_flight: float, page_size: int) -> float:
        """Return how many pages the next window should hold."""
        if self._again:
            return self._again[0].expected
        expected = self.expected_left
        if expected is None:
            return 1.0
        return max(1, math.floor(min(expected / page_size / max(1.0, in_flight), _most_pages(in_flight))))

    def next(self, in_flight: float, page_size: int, asked: int) -> Reading:
        """Return the earliest window that is left; see `pages`. `asked` is how many records a page is asked for."""
        if self._again:
            return self._again.pop(0)
        length, why = self._length(self.pages(in_flight, page_size) * page_size)
        start, end = self._left.start, self._left.end
        window = Window(start, min(end, start + max(1, math.ceil(length))))
        self._left = Window(window.end, end)
        self._longest_yet = max(self._longest_yet, window.length)
        expected = self.forecast.expected(window) / page_size if self.forecast.is_known else 0.0
        return Reading(window, asked, expected, 2 * max(expected, _most_pages(in_flight)), why=why)

    def _length(self, full: float) -> tuple[float, str]:
        if not self.forecast.is_known:
            return self._first, "nothing is known yet"
        records = max(full / 2, full - MARGIN * math.sqrt(full))
        longest = min(self._longest, GROWTH * self._longest_yet)
        length = self.forecast.length(self._left, records)
        why = f"for about {records:,.0f} records"
        return (length, why) if length < longest else (longest, f"the longest, {why} at most")

    def read_again(self, *readings: Reading) -> None:
        """Read these windows next, in place of one that could not be read as planned."""
        self._again = sorted([*self._again, *readings], key=lambda reading: reading.window)

    def is_outgrown(self, reading: Reading, in_flight: float, spare: float) -> bool:
        """Return whether a window holds so much more than expected that it is better cut, after a full page of it.

        The pages that it took are then read again, but by several requests at once. Where the rate limit allows more
        requests than there are windows left, by `spare`, that is soon worth it.
        """
        pages = len(reading.sizes)
        if reading.window.length == 1:
            return False
        if pages == 1 and reading.expected < SILENCE:
            return reading.window.length > FIRST_WINDOW
        is_worth_it = pages > reading.expected + 2 and spare > 2 * (in_flight - spare)
        return is_worth_it or pages > reading.most_pages

    def cut(self, reading: Reading, in_flight: float, page_size: int) -> None:
        """Plan to read a window again, in equal parts."""
        is_guess = reading.expected < SILENCE
        held = GUESSED_PAGES * reading.page_size / page_size if is_guess else 2.0 * len(reading.sizes)
        self.forecast.learn(reading.window, held * page_size)
        to_be_read_at_once = min(held, 2 * in_flight)
        of_few_pages_each = min(held / 2, MOST_PARTS)
        number = max(4, math.ceil(max(to_be_read_at_once, of_few_pages_each)))
        most = 2 * MOST_PAGES if is_guess else reading.most_pages
        why = f"a part of {reading.window}, which holds more than expected"
        part = replace(reading, expected=held / number, most_pages=most, why=why)
        self.read_again(*(replace(part, window=window) for window in reading.window.parts(number)))

    def restart(self, reading: Reading) -> None:
        """Plan to read this window in place of all that is left."""
        self._left = Window(reading.window.end, reading.window.end)
        self._again = [reading]


def _most_pages(in_flight: float) -> float:
    """Return how many pages to plan for a window, so that windows read at once are not too far beyond a checkpoint."""
    return min(MOST_AHEAD / max(1, math.ceil(in_flight)), MOST_PAGES)
