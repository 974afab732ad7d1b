"""The reading of bots in simulated time: the real pool and planner, and an API that answers by a clock of its own.

What is counted here, requests and seconds, does not depend on the machine.
"""

import heapq
import logging
import random
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from zlib import crc32

import msgspec

from sandbox.archive import HOURS
from tap_deepconverse.extract.fallback import FullPage
from tap_deepconverse.extract.lane import Lane
from tap_deepconverse.extract.pool import Answer, Pool
from tap_deepconverse.extract.span import BotSpan, SpanSettings
from tap_deepconverse.extract.window import Reading, Window
from tap_deepconverse.records.page import Page
from tap_deepconverse.records.values import format_seconds

DAY = 86_400
NOW = 1_790_000_000
INTERVAL = 1.01 / 3


def rhythm(moment: float) -> float:
    return HOURS[int(moment % DAY * 24 // DAY)] / max(HOURS)


SHAPES: dict[str, Callable[[float, float], float]] = {
    "even": lambda _, __: 1.0,
    "rhythm": lambda moment, _: rhythm(moment),
    "two_peaks": lambda moment, _: 1.0 if moment % DAY // 3600 in {8, 9, 10, 19, 20, 21} else 0.15,
    "weekend": lambda moment, _: rhythm(moment) / (4 if moment // DAY % 7 in {2, 3} else 1),
    "campaign": lambda moment, place: rhythm(moment) * (1.0 if 0.6 <= place < 0.6333 else 0.1),
    "growing": lambda moment, place: rhythm(moment) * (0.05 + 0.95 * place),
    "shrinking": lambda moment, place: rhythm(moment) * (1.0 - 0.95 * place),
}
"""How busy a moment is, from 0 to 1, by its seconds since the epoch and its place in the span, from 0 to 1."""


@cache
def times_of(records: int, days: float, kind: str = "rhythm", seed: int = 1, end: int = NOW) -> Sequence[int]:
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

    def __post_init__(self) -> None:
        self.full_page = FullPage(self.page_size)

    def wait(self, stopped: threading.Event) -> None:
        raise NotImplementedError

    def pages(self, _: str, reading: Reading, __: threading.Event) -> Iterator[Page]:
        """Give a window's pages, from a second before it: `start_time` and `end_time` are both inside."""
        first, end = reading.window.start - 1, reading.window.end
        found = list(range(bisect_left(self.times, first), bisect_left(self.times, end + 1)))
        if not self.is_sorted:
            found.sort(key=lambda number: crc32(b"%d" % number))
        size = min(reading.page_size, self.clamp)
        for at in range(0, max(1, len(found)), size):
            self.requests += 1
            data = [msgspec.Raw(b"%d" % number) for number in found[at : at + size]]
            yield Page(data, "more" if at + size < len(found) else None)


Job = tuple[float, int, Lane, Reading]


@dataclass
class Clock:
    """Workers in simulated time: the requests of an endpoint are evenly spaced, and an answer takes so many seconds."""

    seconds: float
    now: float = 0.0
    most_at_once: int = 0
    turns: dict[str, float] = field(default_factory=dict)
    waiting: list[Job] = field(default_factory=list)
    under_way: list[Job] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def ask(self, lane: Lane, reading: Reading) -> None:
        turn = max(self.now, self.turns.get(lane.source.name, 0.0))
        self.turns[lane.source.name] = turn + INTERVAL
        heapq.heappush(self.waiting, (turn, next(self.numbers), lane, reading))

    def answer(self, _: float) -> Answer:
        if self.waiting and (not self.under_way or self.waiting[0][0] <= self.under_way[0][0]):
            self.now, number, lane, reading = heapq.heappop(self.waiting)
            heapq.heappush(self.under_way, (self.now + self.seconds, number, lane, reading))
            self.most_at_once = max(self.most_at_once, len(self.under_way))
            return lane, reading, None
        self.now, _, lane, reading = heapq.heappop(self.under_way)
        assert isinstance(lane.source, Api)
        lane.source.in_flight = 3 * self.seconds
        return lane, reading, lane.fetch(reading, threading.Event())


@dataclass
class Outcome:
    """What a simulated run took."""

    seconds: float
    requests: int
    records: int
    most_between_checkpoints: int
    most_beyond: int
    most_at_once: int


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


def lane_of(span: BotSpan, api: Api) -> Lane:
    return Lane("bot", span, api, logging.getLogger("simulation"))


@dataclass
class Taken:
    """What has been taken from lanes; checks that each window's pages come in order, and then its end.

    Attributes:
        emitted: How often each record was emitted, by its number.
        most_beyond: Pages read beyond what was complete.
    """

    emitted: Counter[int] = field(default_factory=Counter)
    pages: Counter[Reading] = field(default_factory=Counter)
    ended: list[tuple[Lane, Window]] = field(default_factory=list)
    most_beyond: int = 0

    def take(self, lane: Lane) -> None:
        assert isinstance(lane.source, Api)
        self.most_beyond = max(self.most_beyond, sum(len(each.sizes) for each in lane.open))
        while lane.inbox:
            reading, number, page = lane.inbox.popleft()
            assert lane.failure is None or reading.window.start < lane.failure[0]
            self.pages[reading] += page is not None
            assert self.pages[reading] == number
            if page is None:
                self.ended.append((lane, reading.window))
                lane.finish(reading)
                continue
            for place in (int(bytes(raw)) for raw in page.data):
                record = {"_id": str(place), "t": text_of(lane.source.times[place])}
                self.emitted[place] += lane.span.admit(reading, record)


def simulate(spans: Sequence[BotSpan], apis: Sequence[Api], answer: float, most_at_once: int = 16) -> Outcome:
    """Read bots, each from its API, in simulated time, at `answer` seconds an answer, less the process's start."""
    lanes = list(map(lane_of, spans, apis))
    most_between = 0
    clock, taken, since = Clock(answer), Taken(), Counter[Lane]()
    for lane in Pool(lanes, clock, most_at_once).arrivals():
        if lane is None:
            continue
        since[lane] += sum(len(page.data) for _, _, page in lane.inbox if page)
        furthest = lane.span.until
        taken.take(lane)
        if lane.span.until > furthest:
            most_between = max(most_between, since.pop(lane))
    assert all(lane.failure is None and lane.span.until >= lane.span.end for lane in lanes)
    requests = sum(api.requests for api in apis)
    return Outcome(clock.now, requests, taken.emitted.total(), most_between, taken.most_beyond, clock.most_at_once)
