"""How many records there are to a second, as far as that is known, and so how long a window may be.

Pure: nothing in this module knows of HTTP or of Singer, and times are Unix seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORGETTING = 0.8  # how much of what was learnt from the windows before still counts after another
STEADINESS = 300  # records by which what was expected is believed, before what is found counts for more
CAUTION = 1.2  # how many times as much is expected where an earlier run has not counted
DOUBT = 30  # records by which hours and days are believed to be alike, before what is found counts for more
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
TELLING = {"hour": DAY, "day": 4 * DAY}  # seconds of records that say which hours, and which days, are busy


@dataclass(frozen=True, slots=True)
class Count:
    """How many records a stretch of time holds. Its edges are in Unix seconds."""

    start: int
    end: int
    records: float


class Rhythm:
    """How busy the hours of a day and the days of a week are beside their mean, as far as records have shown."""

    def __init__(self) -> None:
        """Start with all alike."""
        self._found = defaultdict[tuple[str, int], float](float)
        self._usual = defaultdict[tuple[str, int], float](float)
        self._heard: dict[str, list[Count]] = {kind: [] for kind in TELLING}

    def learn(self, counts: Iterable[Count]) -> None:
        """Take note of how the records of a window lie in time."""
        hours = [hour for count in counts if count.end - count.start < 2 * WEEK for hour in _by_hours(count)]
        if not (self._found or any(hour.records for hour in hours)):
            return  # silence says nothing of what comes after it
        for kind, telling in TELLING.items():
            heard = [*self._heard[kind], *hours]
            seconds = sum(hour.end - hour.start for hour in heard)
            self._heard[kind] = heard if seconds < telling else []
            if seconds < telling:
                continue
            mean = sum(hour.records for hour in heard) / seconds
            for hour in heard:
                part = _part(kind, hour.start)
                self._found[part] += hour.records
                self._usual[part] += mean * (hour.end - hour.start)

    def at(self, moment: float) -> float:
        """Say how many times as busy as the mean a moment (Unix seconds) is."""
        weight = 1.0
        for part in (_part(kind, int(moment)) for kind in TELLING):
            weight *= (self._found[part] + DOUBT) / (self._usual[part] + DOUBT)
        return weight


def _by_hours(count: Count) -> Iterator[Count]:
    """Cut a count at the hours."""
    at = count.start
    while at < count.end:
        until = min(count.end, (at // HOUR + 1) * HOUR)
        yield Count(at, until, count.records * (until - at) / (count.end - count.start))
        at = until


def _part(kind: str, moment: int) -> tuple[str, int]:
    return kind, moment // HOUR % 24 if kind == "hour" else moment // DAY % 7


class Density:
    """What is known of how a bot's records lie in time.

    For some stretches there are an earlier run's counts, corrected by how they have turned out so far.
    Everywhere else the windows read last are the measure, with the rhythm of days and weeks.
    """

    def __init__(self, counts: Iterable[Count] = ()) -> None:
        """Begin with what an earlier run has counted.

        Args:
            counts: Its counts, in order of time; none overlaps another.
        """
        self._counts = [count for count in counts if count.end > count.start]
        self._records = float(sum(count.records for count in self._counts))
        self._seconds = float(sum(count.end - count.start for count in self._counts))
        self._found = self._expected = 0.0
        self.rhythm = Rhythm()
        if self._records:
            self.rhythm.learn(self._counts)

    @property
    def is_known(self) -> bool:
        """Whether anything is known at all."""
        return self._seconds > 0

    @property
    def is_confirmed(self) -> bool:
        """Whether an earlier run's counts, if there are any, have been compared with what was found."""
        return self._expected > 0 or not self._counts

    @property
    def known_until(self) -> float:
        """Up to where there are counts."""
        return self._counts[-1].end if self._counts else 0

    @property
    def _correction(self) -> float:
        return (self._found + STEADINESS) / (self._expected + STEADINESS)

    def expected(self, start: int, end: int) -> float | None:
        """Say how many records to expect, or None if nothing is known."""
        if not self.is_known:
            return None
        return sum((until - since) * rate for since, until, rate in self._pieces(start, end))

    def length(self, start: int, end: int, records: float) -> float:
        """Say how many seconds from `start` on, at most until `end`, hold so many records."""
        for since, until, rate in self._pieces(start, end):
            held = (until - since) * rate
            if held > records:
                return since + records / rate - start
            records -= held
        return end - start

    def learn(self, start: int, end: int, records: int) -> None:
        """Take note of how many records a stretch held.

        Args:
            start: Where it begins.
            end: Where it ends.
            records: How many it held.
        """
        counted = list(self._counted_pieces(start, end))
        if sum(until - since for since, until, _ in counted) == end - start:
            self._found = FORGETTING * self._found + records
            self._expected = FORGETTING * self._expected + sum((until - since) * rate for since, until, rate in counted)
        if records and not self._records:
            self._seconds = 0.0  # silence says nothing of what comes after it
        self._records = FORGETTING * self._records + records
        self._seconds = FORGETTING * self._seconds + end - start

    def _counted_pieces(self, start: int, end: int) -> Iterator[tuple[float, float, float]]:
        """Give each counted piece of a stretch: where it begins and ends, and how many records to a second it has."""
        first = max(0, bisect_right(self._counts, start, key=lambda count: count.start) - 1)
        for count in self._counts[first:]:
            if count.start >= end:
                break
            since, until = max(count.start, start), min(count.end, end)
            if since < until:
                yield since, until, count.records / (count.end - count.start)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[float, float, float]]:
        """Give each piece of a stretch, in order: where it begins and ends, and how many records to a second."""
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
            # What is near goes by the hour; after that, whole weeks are as busy as the mean.
            weeks = (end - start) // WEEK * WEEK if start >= near else 0
            until = start + weeks if weeks else min(end, (start // HOUR + 1) * HOUR)
            yield start, until, usual if weeks else usual * self.rhythm.at(start)
            start = until


def parts_of(start: int, end: int, times: list[float], parts: int, pages: int = 1) -> list[int]:
    """Cut a window that holds more than was expected; gives the edges of the parts, its beginning and end among them.

    Whether pages come in an order is not documented. If the times of a page (in the order of its records) are
    scattered over the window, they show where its records lie. If they rise or fall, they show where the records
    begin or end; and if it is not the first of the window's `pages`, where those before it lie.
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
    # All of a page may lie within one second; the parts have to be shorter than the window all the same.
    return edges if len(edges) > 2 or end - start < 2 else [start, (start + end) // 2, end]  # noqa: PLR2004


def records_told_by(start: int, end: int, times: list[float]) -> float:
    """Say how many records a window holds if the rest is like its first page; 0 if the page does not tell."""
    inside = [time for time in times if start <= time <= end]
    rising = _share_rising(inside)
    is_told = len(set(inside)) > 1 and len(inside) >= len(times) / 2
    if not is_told or 0.1 < rising < 0.9:  # noqa: PLR2004
        return 0.0
    rest = end - min(inside) if rising > 0.5 else max(inside) - start  # noqa: PLR2004
    return len(inside) * rest / max(1.0, max(inside) - min(inside))


def _share_rising(times: list[float]) -> float:
    # Equal times say nothing: in falling order, too, many records share a second.
    steps = [before < after for before, after in pairwise(times) if before != after]
    return sum(steps) / len(steps) if steps else 1.0
