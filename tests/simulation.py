"""The reading of bots in simulated time: the real pool and planner, and an API that answers by a clock of its own.

What is counted here, requests and seconds, does not depend on the machine.
"""

from __future__ import annotations

import heapq
import logging
import random
import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import count
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from sandbox.archive import HOURS
from tap_deepconverse.extract.fallback import FullPage
from tap_deepconverse.extract.lane import Lane, Reading
from tap_deepconverse.extract.pool import Pool
from tap_deepconverse.extract.span import BotSpan, SpanSettings
from tap_deepconverse.records.page import Page
from tap_deepconverse.records.values import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_deepconverse.extract.window import WindowRead

DAY = 86_400
NOW = 1_790_000_000
INTERVAL = 1.01 / 3

SHAPES: dict[str, Callable[[float, float], float]] = {}
"""How busy a moment is, from 0 to 1, by its seconds since the epoch and its place in the span, from 0 to 1."""


def shape(function: Callable[[float, float], float]) -> Callable[[float, float], float]:
    SHAPES[function.__name__] = function
    return function


@shape
def even(_: float, __: float) -> float:
    return 1.0


@shape
def rhythm(moment: float, _: float) -> float:
    return HOURS[int(moment % DAY * 24 // DAY)] / max(HOURS)


@shape
def nights(moment: float, _: float) -> float:
    return 1.0 if moment % DAY < 6 * 3600 else 0.1


@shape
def two_peaks(moment: float, _: float) -> float:
    hour = moment % DAY // 3600
    return 1.0 if hour in {8, 9, 10, 19, 20, 21} else 0.15


@shape
def weekend(moment: float, place: float) -> float:
    return rhythm(moment, place) / (4 if moment // DAY % 7 in {2, 3} else 1)


@shape
def campaign(moment: float, place: float) -> float:
    return rhythm(moment, place) * (1.0 if 0.6 <= place < 0.6333 else 0.1)


@shape
def growing(moment: float, place: float) -> float:
    return rhythm(moment, place) * (0.05 + 0.95 * place)


@shape
def shrinking(moment: float, place: float) -> float:
    return rhythm(moment, place) * (1.0 - 0.95 * place)


def times_of(records: int, days: float, kind: str = "rhythm", seed: int = 1, end: int = NOW) -> list[int]:
    """Make up when records were made, in order of time."""
    chance = random.Random(f"{records} {kind} {seed}")
    start = end - int(days * DAY)
    busy = SHAPES[kind]
    times: list[int] = []
    while len(times) < records:
        moment = chance.randrange(start, end)
        if chance.random() < busy(moment, (moment - start) / (end - start)):
            times.append(moment)
    return sorted(times)


@cache
def text_of(moment: int) -> str:
    return format_seconds(moment)


@dataclass
class Api:
    """An API that holds the records of one bot."""

    times: Sequence[int]
    is_sorted: bool = True
    clamp: int = 1000
    requests: int = 0
    in_flight: float = 6.0
    name: str = "conversations"
    page_size: int = 1000

    @cached_property
    def full_page(self) -> FullPage:
        return FullPage(self.page_size)

    def wait(self, stopped: threading.Event) -> None:
        raise NotImplementedError

    def pages(self, _: str, read: WindowRead, __: threading.Event) -> Iterator[Page]:
        """Give a window's pages: `start_time` and `end_time` are both inside."""
        window = read.window
        found = list(range(bisect_left(self.times, window.start_time), bisect_left(self.times, window.end + 1)))
        if not self.is_sorted:
            found.sort(key=lambda number: crc32(b"%d" % number))
        size = min(read.page_size, self.clamp)
        for at in range(0, max(1, len(found)), size):
            self.requests += 1
            data = [msgspec.Raw(b"%d" % number) for number in found[at : at + size]]
            yield Page(data, "more" if at + size < len(found) else None)


@dataclass
class Clock:
    """Workers in simulated time: the requests of an endpoint are evenly spaced, and an answer takes so many seconds."""

    seconds: float
    now: float = 0.0
    most_at_once: int = 0
    turns: dict[str, float] = field(default_factory=dict)
    waiting: list[tuple[float, int, Reading]] = field(default_factory=list)
    under_way: list[tuple[float, int, Reading]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=count)

    def are_waiting(self, name: str) -> bool:
        return any(turn > self.now for turn, _, reading in self.waiting if reading.lane.source.name == name)

    def ask(self, reading: Reading) -> None:
        name = reading.lane.source.name
        turn = max(self.now, self.turns.get(name, 0.0))
        self.turns[name] = turn + INTERVAL
        heapq.heappush(self.waiting, (turn, next(self.numbers), reading))

    def answer(self, _: float) -> tuple[Reading, Page | BaseException] | None:
        if self.waiting and (not self.under_way or self.waiting[0][0] <= self.under_way[0][0]):
            self.now, number, reading = heapq.heappop(self.waiting)
            heapq.heappush(self.under_way, (self.now + self.seconds, number, reading))
            self.most_at_once = max(self.most_at_once, len(self.under_way))
            return None
        self.now, _, reading = heapq.heappop(self.under_way)
        source = reading.lane.source
        assert isinstance(source, Api)
        source.in_flight = 3 * self.seconds
        return reading, reading.next_page(self.stopped)


@dataclass
class Outcome:
    """What a simulated run took."""

    seconds: float = 0.0
    requests: int = 0
    records: int = 0
    most_between_checkpoints: int = 0
    most_beyond: int = 0  # pages read beyond what was complete
    most_at_once: int = 0
    spans: list[BotSpan] = field(default_factory=list)


def span_of(  # noqa: PLR0913
    start: int,
    end: int = NOW,
    *,
    bookmark: int | None = None,
    counted: Mapping[int, float] | None = None,
    lookback_days: int = 1,
    window_days: int = 30,
) -> BotSpan:
    """Plan to read a bot from `start`, or from a little before its bookmark."""
    first, last = (datetime.fromtimestamp(edge, UTC) for edge in (start, end))
    settings = SpanSettings(first, last, True, window_days, lookback_days, "t", "")  # noqa: FBT003
    before = None if bookmark is None else datetime.fromtimestamp(bookmark, UTC)
    return BotSpan(settings, before, counted=counted or {})


def simulate(spans: Sequence[BotSpan], apis: Sequence[Api], answer: float, most_at_once: int = 16) -> Outcome:
    """Read bots in simulated time.

    Args:
        spans: What to read of each bot.
        apis: The API of each bot.
        answer: Seconds that an answer takes.
        most_at_once: How many windows may be read at once.

    Returns:
        What it took, less the start of the process.
    """
    lanes = [Lane("bot", span, api, logging.getLogger("simulation")) for span, api in zip(spans, apis, strict=True)]
    clock = Clock(answer)
    outcome = Outcome(spans=list(spans))
    since: dict[int, int] = {}
    for lane in Pool(lanes, clock, most_at_once).arrivals():
        if lane is None:
            continue
        times = lane.source.times if isinstance(lane.source, Api) else []
        outcome.most_beyond = max(outcome.most_beyond, sum(each.number for each in lane.open))
        while lane.inbox:
            arrival = lane.inbox.popleft()
            if arrival.page is not None:
                if arrival.number == 1:
                    lane.span.begin(arrival.reading.read.window)
                for number in arrival.page.data:
                    record = {"_id": bytes(number).decode(), "t": text_of(times[int(bytes(number))])}
                    outcome.records += lane.span.admit(arrival.reading.read.window, record)
                since[id(lane)] = since.get(id(lane), 0) + len(arrival.page.data)
            elif lane.finish(arrival.reading):
                outcome.most_between_checkpoints = max(outcome.most_between_checkpoints, since.pop(id(lane), 0))
    for lane in lanes:
        assert lane.failure is None, lane.failure
        assert lane.span.until == max(lane.span.end, lane.span.until)
    outcome.seconds = clock.now
    outcome.requests = sum(api.requests for api in apis)
    outcome.most_at_once = clock.most_at_once
    return outcome
