"""Time cut into windows that fit what they hold.

Pure: nothing in this module knows of HTTP or of Singer, and times are Unix seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from tap_deepconverse.extract.density import Count, Density, parts_of, records_told_by


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time to ask the API for, in whole Unix seconds.

    Whether the API counts the second `end` in is not documented, so adjacent windows share their edge.
    """

    start: int
    end: int

    def __str__(self) -> str:
        """Name the window in a log line: "the window from 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z"."""
        return f"the window from {self.start_moment:%Y-%m-%dT%H:%M:%SZ} to {self.end_moment:%Y-%m-%dT%H:%M:%SZ}"

    def halves(self) -> tuple[Window, ...]:
        """Cut the window in two, if it is longer than a second."""
        middle = (self.start + self.end) // 2
        if middle == self.start:
            return (self,)
        return Window(self.start, middle), Window(middle, self.end)

    @property
    def end_moment(self) -> datetime:
        """The window's end as a moment."""
        return datetime.fromtimestamp(self.end, UTC)

    @property
    def start_moment(self) -> datetime:
        """The window's beginning as a moment."""
        return datetime.fromtimestamp(self.start, UTC)


FIRST_WINDOW = 86_400  # seconds. A day says how busy a bot is, and seldom takes more than a few requests
MOST_PAGES = 13  # the largest window, in pages: where more is lost than that, a checkpoint has come too late
MOST_AHEAD = 30  # pages that may be read, or planned to be, since the last checkpoint: so often one comes
MOST_BEYOND = 45  # pages that may be read, or planned to be, beyond what is complete: a kill lets them be read again
FASTEST_GROWTH = 30  # how many times longer than any before a window may be: what was quiet may become busy
MARGIN = 2.5  # standard deviations of the expected number of records to stay below a whole number of pages
LAST_MARGIN = 4.0  # the same for the last windows: when their second page is asked for, nothing else is left to ask
GUESSED_PAGES = 18  # pages that a window is taken to hold if its first is full and nothing else is known of it
GROWTH = 8  # how many times as busy a bot may be as in the run before, if it is not as busy as it was
SILENCE = 0.05  # pages below which nothing is expected: what comes all the same tells how much there is
FEWEST_PARTS, MOST_PARTS = 4, 100  # Into how many parts such a window is cut
# Fewest pages left in a window that is cut into parts: what has been read of it is read again
WORTH_A_CUT = 3


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A window to be read, and how."""

    window: Window
    page_size: int
    expected: float = 0.0  # records, as far as anything is known
    is_part: bool = False  # of a window that was cut into parts
    is_second_time: bool = False  # since the API has rejected a cursor in it

    @property
    def expected_pages(self) -> float:
        """How many pages it is expected to take; at least one, and two where that is a guess."""
        return max(2.0 if self.is_part else 1.0, self.expected / self.page_size)


class WindowPlanner:
    """Cuts a span into windows that fit what they hold, as it becomes known.

    A window ends with a page that is partly empty, so windows should be few; but each is read page by
    page, so there should be as many as have to be read at once to use the API's limit. Both follow from
    how many records there are to a second, and how long an answer takes.
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
        """Where the next window begins, or None if there is none left to plan."""
        return min(
            (window.start for window in [*self._unplanned[:1], *(read.window for read in self._again)]), default=None
        )

    @property
    def expected_left(self) -> float | None:
        """How many records to expect in what is left to plan, or None if nothing is known."""
        if not self._density.is_known:
            return None
        again = sum(read.expected for read in self._again)
        return again + sum(self._density.expected(left.start, left.end) or 0 for left in self._unplanned)

    @property
    def has_parts(self) -> bool:
        """Whether parts of a window that was cut anew are left: the sooner they are begun, the sooner all are read."""
        return bool(self._again)

    def next(self, in_flight: float, room: float = MOST_AHEAD) -> WindowRead:
        """Cut the earliest window that is left, of `room` pages at most.

        `in_flight` is how many requests are under way at a time when the API's limit is used: requests a
        second times the seconds that an answer takes.
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
        # Where an answer takes little longer than its turn, windows of one page cost more than waiting for two.
        records = max(2 if in_flight < 2 <= room else 1, math.floor(pages)) * self._page_size  # noqa: PLR2004
        is_last = pages_left <= 1.3 * at_once and in_flight > 2  # noqa: PLR2004
        fill = max(records / 2, records - (LAST_MARGIN if is_last else MARGIN) * math.sqrt(records))
        length = min(self._density.length(left.start, left.end, fill), longest)
        rest = self._density.expected(left.start, left.end) or 0
        return self._with_rest(seconds, length) if rest <= records else length

    @staticmethod
    def _with_rest(seconds: int, length: float) -> float:
        """Take a short rest along: it is not worth a request of its own."""
        return seconds if seconds - length < 0.15 * length else length

    def learn(self, read: WindowRead, records: int) -> None:
        """Take note of how many records a window held that has been read to its end."""
        self._density.learn(read.window.start, read.window.end, records)

    def learn_rhythm(self, counts: list[Count]) -> None:
        """Take note of how the records of a window lie in time, by ten minutes."""
        self._density.rhythm.learn(counts)

    def again(self, *reads: WindowRead) -> None:
        """Take windows in, in place of one that could not be read as it was."""
        self._again = sorted([*self._again, *reads], key=lambda read: read.window.start)

    def is_worth_a_cut(
        self, read: WindowRead, pages: int, times: list[float], *, is_idle: bool, in_flight: float
    ) -> bool:
        """Tell whether a window had better be cut into parts, although what has been read of it is then read again.

        It is if the window holds much more than it was planned for, or takes long alone: `is_idle` says that
        nothing else is left to begin, although more could be read at once. `times` are those of the page that
        came last: in rising or falling order, they tell how many more there are.
        """
        length = read.window.end - read.window.start
        if length < MOST_PAGES or read.page_size < self._page_size:
            return False
        told = self._pages_told(read, times)
        left = told - 1 if told and pages > 1 else max(self._guessed_pages(read, pages) - pages, told - 1)
        most = _most_pages(in_flight)
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
        """Take a window back, to be read in parts: by the times (Unix seconds) of the page that came last."""
        guessed = max(self._guessed_pages(read, pages), self._pages_told(read, times))
        most = _most_pages(in_flight)
        parts = max(FEWEST_PARTS, math.ceil(min(2 * in_flight, guessed)), math.ceil(guessed / most))
        edges = parts_of(read.window.start, read.window.end, times, min(parts, MOST_PARTS), pages)
        expected = min(guessed / (len(edges) - 1), MOST_PAGES) * self._page_size
        self.again(*(WindowRead(Window(*part), self._page_size, expected, is_part=True) for part in pairwise(edges)))

    def _guessed_pages(self, read: WindowRead, pages: int) -> float:
        """Guess how many pages a window holds of which some have been read, and more are left."""
        guess = read.expected / self._page_size
        if not read.is_part:
            now = self._density.expected(read.window.start, read.window.end) or 0
            guess = max(guess, now / self._page_size)
            if guess < SILENCE:
                guess = GUESSED_PAGES
            elif pages >= guess and not self._density.is_confirmed:  # a bot may have grown since the run before
                guess = GROWTH * max(1.0, guess)
        if guess > pages:
            return guess
        return pages + 1 + (pages / 2 if read.is_part else 2 * (pages - guess))


def _most_pages(in_flight: float) -> float:
    """Say how many pages a window may hold, so that as many as are read at once are not too far ahead."""
    return min(MOST_AHEAD / math.ceil(in_flight), MOST_PAGES)
