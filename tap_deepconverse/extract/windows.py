"""Cuts time into windows that fit the records in them.

Pure: nothing in this module knows about HTTP or Singer. Times are Unix seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from tap_deepconverse.extract.density import Count, Density, parts_of, records_told_by


@dataclass(frozen=True, slots=True)
class Window:
    """A window of time to request, in whole Unix seconds.

    Whether `end` is inclusive is not documented, so adjacent windows share their edge and nothing is lost.
    """

    start: int
    end: int

    def __str__(self) -> str:
        """Name the window in a log line: "the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z"."""
        return f"the window from {self.start_moment:%Y-%m-%dT%H:%M:%SZ} to {self.end_moment:%Y-%m-%dT%H:%M:%SZ}"

    def halves(self) -> tuple[Window, ...]:
        """Return the window's two halves, or the window itself if it is only a second long."""
        middle = (self.start + self.end) // 2
        if middle == self.start:
            return (self,)
        return Window(self.start, middle), Window(middle, self.end)

    @property
    def end_moment(self) -> datetime:
        """The window's end as a datetime."""
        return datetime.fromtimestamp(self.end, UTC)

    @property
    def start_moment(self) -> datetime:
        """The window's start as a datetime."""
        return datetime.fromtimestamp(self.start, UTC)


FIRST_WINDOW = 86_400  # seconds. A day shows how busy a bot is, and seldom takes more than a few requests
MOST_PAGES = 13  # pages in the largest window: a larger one would delay the checkpoint too long
MOST_AHEAD = 30  # pages, read or planned, since the last checkpoint: this is how often a checkpoint comes
MOST_BEYOND = 45  # pages, read or planned, beyond the checkpoint: after a kill they are read again
FASTEST_GROWTH = 30  # how many times longer than any earlier window one may be: a quiet bot may become busy
MARGIN = 2.5  # standard deviations by which the expected records stay below a whole number of pages
LAST_MARGIN = 4.0  # the same for the last windows: their second page would be requested with nothing else left to do
GUESSED_PAGES = 18  # pages assumed in a window whose first page is full, if nothing else is known
GROWTH = 8  # how many times busier than in the last run a bot may be, once its windows hold more than expected
SILENCE = 0.05  # pages; below this a window counts as silent, and its first records show how many there are
FEWEST_PARTS, MOST_PARTS = 4, 100  # parts that a window is cut into
# Fewest pages left in a window that is cut into parts: the pages already read are read again
WORTH_A_CUT = 3


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A window to read, and how to read it."""

    window: Window
    page_size: int
    expected: float = 0.0  # records; 0 if unknown
    is_part: bool = False  # of a window that was cut into parts
    is_second_time: bool = False  # because the API rejected a cursor

    @property
    def expected_pages(self) -> float:
        """How many pages to expect: at least one, and at least two where that is a guess."""
        return max(2.0 if self.is_part else 1.0, self.expected / self.page_size)


class WindowPlanner:
    """Cuts a span into windows that fit the records in them, as their density becomes known.

    A window's last page is partly empty, so few windows are better. But a window is read page by page, so there must
    be enough to use the full rate limit. Both follow from the records per second and the time of a response.
    """

    def __init__(self, span: Window, *, longest: int, page_size: int, first: int, density: Density) -> None:
        """Plan to read a span in windows of `longest` seconds at most, or of `first` while nothing is known."""
        self._unplanned = [span]
        self._again: list[WindowRead] = []
        self._longest = longest
        self._page_size = page_size
        self._first = min(first, longest)
        self._longest_yet = min(max(self._first, density.known_until - span.start), longest)
        self._density = density

    @property
    def next_start(self) -> int | None:
        """The start of the next window, or None if none is left to plan."""
        return min(
            (window.start for window in [*self._unplanned[:1], *(read.window for read in self._again)]), default=None
        )

    @property
    def expected_left(self) -> float | None:
        """How many records to expect in the unplanned rest, or None if nothing is known."""
        if not self._density.is_known:
            return None
        again = sum(read.expected for read in self._again)
        return again + sum(self._density.expected(left.start, left.end) or 0 for left in self._unplanned)

    @property
    def has_parts(self) -> bool:
        """Whether parts of a window that was cut are left. Starting them early shortens the run."""
        return bool(self._again)

    def next(self, in_flight: float, room: float = MOST_AHEAD) -> WindowRead:
        """Return the earliest window that is left, of `room` pages at most.

        `in_flight` is the number of concurrent requests that use the full rate limit: requests per second times the
        seconds of a response.
        """
        if self._again and self._again[0].window.start == self.next_start:
            return self._again.pop(0)
        left = self._unplanned.pop(0)
        length = max(1, min(math.ceil(self._length(left, in_flight, room)), self._longest, left.end - left.start))
        window = Window(left.start, left.start + length)
        if window.end < left.end:
            self._unplanned.insert(0, Window(window.end, left.end))
        self._longest_yet = max(self._longest_yet, length)
        return WindowRead(window, self._page_size, self._density.expected(window.start, window.end) or 0)

    def _length(self, left: Window, in_flight: float, room: float) -> float:
        seconds = left.end - left.start
        expected = self.expected_left
        if expected is None:
            return self._with_rest(seconds, self._first)
        longest = max(self._longest_yet * FASTEST_GROWTH, self._density.known_until - left.start)
        at_once = max(1.0, in_flight)
        pages_left = (expected + (self._density.expected(left.start, left.end) or 0)) / self._page_size
        pages = min(pages_left / at_once, _most_pages(in_flight), room)
        # With fast responses, windows of one page cost more than waiting for a second page.
        records = max(2 if in_flight < 2 <= room else 1, math.floor(pages)) * self._page_size  # noqa: PLR2004
        is_last = pages_left <= 1.3 * at_once and in_flight > 2  # noqa: PLR2004
        fill = max(records / 2, records - (LAST_MARGIN if is_last else MARGIN) * math.sqrt(records))
        length = min(self._density.length(left.start, left.end, fill), longest)
        rest = self._density.expected(left.start, left.end) or 0
        return self._with_rest(seconds, length) if rest <= records else length

    @staticmethod
    def _with_rest(seconds: int, length: float) -> float:
        """Add a short rest to the window: it is not worth a request of its own."""
        return seconds if seconds - length < 0.15 * length else length

    def learn(self, read: WindowRead, records: int) -> None:
        """Record how many records a complete window held."""
        self._density.learn(read.window.start, read.window.end, records)

    def learn_rhythm(self, counts: list[Count]) -> None:
        """Record how the records of a window are distributed over time, per ten minutes."""
        self._density.rhythm.learn(counts)

    def again(self, *reads: WindowRead) -> None:
        """Add windows that replace one that could not be read as planned."""
        self._again = sorted([*self._again, *reads], key=lambda read: read.window.start)

    def is_worth_a_cut(
        self, read: WindowRead, pages: int, times: list[float], *, is_idle: bool, in_flight: float
    ) -> bool:
        """Return whether to cut a window into parts, although the pages already read are then read again.

        This pays if the window holds much more than planned, or if it would be read alone for long: `is_idle` says
        that no other window is left to start, although the rate limit allows more requests. `times` are those of the
        latest page: if they rise or fall, they show how many more records there are.
        """
        length = read.window.end - read.window.start
        if length < MOST_PAGES or read.page_size < self._page_size:
            return False
        told, most = self._pages_told(read, times), _most_pages(in_flight)
        # One page of another order may mislead: a window that has taken far more than planned is cut all the same.
        is_believed = told > 0 and 1 < pages < 3 * max(most, read.expected_pages)
        left = told - 1 if is_believed else max(self._guessed_pages(read, pages) - pages, told - 1)
        is_silence_over = read.expected < SILENCE * self._page_size
        if pages == 1 and ((is_silence_over and length > self._first) or left > 1.5 * most + 1):
            return True
        is_doubtful = pages >= read.expected / self._page_size and not read.is_part and not self._density.is_confirmed
        if (is_idle or is_doubtful) and left >= WORTH_A_CUT and left * (in_flight - 1) > pages + in_flight + 2:
            return True
        return pages >= 2 * max(most, read.expected_pages) + 1 and left >= WORTH_A_CUT

    def _pages_told(self, read: WindowRead, times: list[float]) -> float:
        return records_told_by(read.window.start, read.window.end, times) / self._page_size

    def cut_anew(self, read: WindowRead, pages: int, times: list[float], in_flight: float) -> None:
        """Cut a window into parts, by the times (Unix seconds) of its latest page, and plan those."""
        guessed = max(self._guessed_pages(read, pages), self._pages_told(read, times))
        most = _most_pages(in_flight)
        parts = max(FEWEST_PARTS, math.ceil(min(2 * in_flight, guessed)), math.ceil(guessed / most))
        edges = parts_of(read.window.start, read.window.end, times, min(parts, MOST_PARTS), pages)
        expected = min(guessed / (len(edges) - 1), MOST_PAGES) * self._page_size
        self.again(*(WindowRead(Window(*part), self._page_size, expected, is_part=True) for part in pairwise(edges)))

    def _guessed_pages(self, read: WindowRead, pages: int) -> float:
        """Estimate how many pages a window holds when some have been read and more are left."""
        guess = read.expected / self._page_size
        if not read.is_part:
            now = self._density.expected(read.window.start, read.window.end) or 0
            guess = max(guess, now / self._page_size)
            if guess < SILENCE:
                guess = GUESSED_PAGES
            elif pages >= guess and not self._density.is_confirmed:  # a bot may have grown since the last run
                guess = GROWTH * max(1.0, guess)
        if guess > pages:
            return guess
        return pages + 1 + (pages / 2 if read.is_part else 2 * (pages - guess))


def _most_pages(in_flight: float) -> float:
    """Return how many pages a window may hold, so that concurrent windows are not too far ahead of the checkpoint."""
    return min(MOST_AHEAD / math.ceil(in_flight), MOST_PAGES)
