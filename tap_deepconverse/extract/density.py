"""Estimates how many records there are per second, and so how long a window may be.

Pure: nothing in this module knows about HTTP or Singer. Times are Unix seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORGETTING = 0.8  # weight of everything learned before, after each further window
STEADINESS = 300  # records; as many must be found before they outweigh an earlier run's counts
CAUTION = 1.2  # factor on the estimate for a time that an earlier run has not counted
DOUBT = {
    "hour": 30,
    "day": 300,
}  # records; as many must be found before they outweigh that all hours, and days, are alike
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
TELLING = {"hour": DAY, "day": 4 * DAY}  # seconds of records needed to see which hours, and which days, are busy


@dataclass(frozen=True, slots=True)
class Count:
    """How many records there are between two times, in Unix seconds."""

    start: int
    end: int
    records: float


class Rhythm:
    """How busy each hour of a day and each day of a week is, relative to the mean of the records seen."""

    def __init__(self) -> None:
        """Start with all hours and days alike."""
        self._found = defaultdict[tuple[str, int], float](float)
        self._usual = defaultdict[tuple[str, int], float](float)
        self._heard: dict[str, list[Count]] = {kind: [] for kind in TELLING}
        self._seconds_heard = dict.fromkeys(TELLING, 0)

    def learn(self, counts: Iterable[Count]) -> None:
        """Record how the records of a window are distributed over time."""
        hours = [hour for count in counts if count.end - count.start < 2 * WEEK for hour in _by_hours(count)]
        if not (self._found or any(hour.records for hour in hours)):
            return  # silence does not predict what follows it
        for kind, telling in TELLING.items():
            heard = self._heard[kind]
            heard += hours
            self._seconds_heard[kind] += sum(hour.end - hour.start for hour in hours)
            if self._seconds_heard[kind] < telling:
                continue
            mean = sum(hour.records for hour in heard) / self._seconds_heard[kind]
            for hour in heard:
                part = _part(kind, hour.start)
                self._found[part] += hour.records
                self._usual[part] += mean * (hour.end - hour.start)
            self._heard[kind], self._seconds_heard[kind] = [], 0

    def at(self, moment: float) -> float:
        """Return how busy a moment (Unix seconds) is, as a multiple of the mean."""
        weight = 1.0
        for kind, doubt in DOUBT.items():
            part = _part(kind, int(moment))
            weight *= (self._found.get(part, 0.0) + doubt) / (self._usual.get(part, 0.0) + doubt)
        return weight


def _by_hours(count: Count) -> Iterator[Count]:
    """Split a count at full hours."""
    at = count.start
    while at < count.end:
        until = min(count.end, (at // HOUR + 1) * HOUR)
        yield Count(at, until, count.records * (until - at) / (count.end - count.start))
        at = until


def _part(kind: str, moment: int) -> tuple[str, int]:
    return kind, moment // HOUR % 24 if kind == "hour" else moment // DAY % 7


class Density:
    """Estimates how a bot's records are distributed over time.

    Where an earlier run has counts, it uses those, corrected by what this run has found so far. Everywhere else it
    uses the latest windows, with the rhythm of days and weeks.
    """

    def __init__(self, counts: Iterable[Count] = ()) -> None:
        """Start with the counts of an earlier run, in order of time and without overlaps."""
        self._counts = [count for count in counts if count.end > count.start]
        self._records = float(sum(count.records for count in self._counts))
        self._seconds = float(sum(count.end - count.start for count in self._counts))
        self._found = self._expected = 0.0
        self.rhythm = Rhythm()
        if self._records:
            self.rhythm.learn(self._counts)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to estimate from."""
        return self._seconds > 0

    @property
    def is_confirmed(self) -> bool:
        """Whether this run has checked an earlier run's counts, if there are any."""
        return self._expected > 0 or not self._counts

    @property
    def known_until(self) -> float:
        """The time up to which there are counts."""
        return self._counts[-1].end if self._counts else 0

    @property
    def _correction(self) -> float:
        return (self._found + STEADINESS) / (self._expected + STEADINESS)

    def expected(self, start: int, end: int) -> float | None:
        """Return how many records to expect, or None if nothing is known."""
        if not self.is_known:
            return None
        return sum((until - since) * rate for since, until, rate in self._pieces(start, end))

    def length(self, start: int, end: int, records: float) -> float:
        """Return how many seconds from `start` on, at most until `end`, hold so many records."""
        for since, until, rate in self._pieces(start, end):
            held = (until - since) * rate
            if held > records:
                return since + records / rate - start
            records -= held
        return end - start

    def learn(self, start: int, end: int, records: int) -> None:
        """Record how many records there were between `start` and `end`."""
        counted = list(self._counted_pieces(start, end))
        if sum(until - since for since, until, _ in counted) == end - start:
            self._found = FORGETTING * self._found + records
            self._expected = FORGETTING * self._expected + sum((until - since) * rate for since, until, rate in counted)
        if records and not self._records:
            self._seconds = 0.0  # silence does not predict what follows it
        self._records = FORGETTING * self._records + records
        self._seconds = FORGETTING * self._seconds + end - start

    def _counted_pieces(self, start: int, end: int) -> Iterator[tuple[float, float, float]]:
        """Yield the pieces that an earlier run has counted: start, end and records per second."""
        first = max(0, bisect_right(self._counts, start, key=lambda count: count.start) - 1)
        for count in self._counts[first:]:
            if count.start >= end:
                break
            since, until = max(count.start, start), min(count.end, end)
            if since < until:
                yield since, until, count.records / (count.end - count.start)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[float, float, float]]:
        """Yield all pieces between two times, in order: start, end and records per second."""
        at: float = start
        for since, until, rate in self._counted_pieces(start, end):
            yield from self._usual_pieces(at, since)
            yield since, until, rate * self._correction
            at = until
        yield from self._usual_pieces(at, end)

    def _usual_pieces(self, start: float, end: float) -> Iterator[tuple[float, float, float]]:
        usual = self._records / self._seconds * (CAUTION if self._counts else 1)
        near = start + 2 * WEEK
        while start < end:
            # Two weeks hour by hour; after that, each whole week is as busy as the mean.
            weeks = (end - start) // WEEK * WEEK if start >= near else 0
            until = start + weeks if weeks else min(end, (start // HOUR + 1) * HOUR)
            yield start, until, usual if weeks else usual * self.rhythm.at(start)
            start = until


def parts_of(start: int, end: int, times: list[float], parts: int, pages: int = 1) -> list[int]:
    """Cut a window that holds more than expected. Return the edges of the parts, including its start and end.

    The order of records is not documented. If the times of a page (in the order of its records) are scattered over the
    window, they show how its records are distributed. If they rise or fall, they show where the records start or end;
    and if the page is not the first of the window's `pages`, where the earlier pages are.
    """
    inside = [time for time in times if start <= time <= end] or [start, end]
    rising = _share_rising(inside)
    if 0.1 < rising < 0.9:  # noqa: PLR2004
        inside.sort()
        inner = [inside[len(inside) * part // parts] for part in range(1, parts)]
    else:
        first, last = (min(inside), end) if rising > 0.5 else (start, max(inside))  # noqa: PLR2004
        inner = [first + (last - first) * part / parts for part in range(1, parts)]
        inner += [start + (first - start) * page / (pages - 1) for page in range(1, pages)]
        inner += [end - (end - last) * page / (pages - 1) for page in range(1, pages)]
    edges = sorted({start, *map(int, inner), end})
    # A whole page may lie within one second, but the parts must be shorter than the window.
    return edges if len(edges) > 2 or end - start < 2 else [start, (start + end) // 2, end]  # noqa: PLR2004


def records_told_by(start: int, end: int, times: list[float]) -> float:
    """Return how many records a window holds if the rest is like its first page; 0 if the page does not show it."""
    inside = [time for time in times if start <= time <= end]
    rising = _share_rising(inside)
    is_told = len(set(inside)) > 1 and len(inside) >= len(times) / 2
    if not is_told or 0.1 < rising < 0.9:  # noqa: PLR2004
        return 0.0
    rest = end - min(inside) if rising > 0.5 else max(inside) - start  # noqa: PLR2004
    return len(inside) * rest / max(1.0, max(inside) - min(inside))


def _share_rising(times: list[float]) -> float:
    # Equal times show nothing: many records share a second, in falling order too.
    steps = [before < after for before, after in pairwise(times) if before != after]
    return sum(steps) / len(steps) if steps else 1.0
