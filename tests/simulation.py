"""The reading of bots in simulated time: real planners and lanes, and an API that answers by a clock of its own.

What is counted here, requests and seconds, does not depend on the machine.
"""

from __future__ import annotations

import heapq
import logging
import random
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from sandbox.archive import HOURS
from tap_deepconverse.api.rate_limit import ASSUMED_ANSWER, SLACK
from tap_deepconverse.extract.pool import ReaderPool
from tap_deepconverse.extract.seen import TEN_MINUTES
from tap_deepconverse.extract.span import BotSpan, SpanSettings
from tap_deepconverse.records.page import Page
from tap_deepconverse.records.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_deepconverse.extract.density import Count
    from tap_deepconverse.extract.lane import Lane
    from tap_deepconverse.extract.windows import WindowRead

DAY = 86_400
NOW = 1_790_000_000
INTERVAL = SLACK / 3


def times_of(records: int, days: float, *, shape: str = "rhythm", seed: int = 1, end: int = NOW) -> list[int]:
    """Make up when records were made: a day's rhythm, weekends, a burst, or evenly; in order of time."""
    chance = random.Random(f"{records} {shape} {seed}")
    start = end - int(days * DAY)
    burst = chance.randrange(start, end)
    times: list[int] = []
    while len(times) < records:
        moment = chance.randrange(start, end)
        weight = 1.0 if shape == "even" else HOURS[moment % DAY * 24 // DAY] / max(HOURS)
        if shape == "weekend" and moment // DAY % 7 in {2, 3}:
            weight /= 4
        if shape == "burst":
            weight *= 1.0 if 0 <= moment - burst < days * DAY / 30 else 0.1
        if chance.random() < weight:
            times.append(moment)
    return sorted(times)


@cache
def text_of(moment: int) -> str:
    """Write a time as far as ten minutes."""
    return format_time(datetime.fromtimestamp(moment, UTC))[:TEN_MINUTES]


@dataclass
class Api:
    """An API that holds the records of one bot."""

    times: Sequence[int]
    order: str = "rising"
    requests: int = 0

    def pages(self, _: BotSpan, read: WindowRead) -> Iterator[Page]:
        """Give a window's pages."""
        first, last = (bisect_left(self.times, edge) for edge in (read.window.start, read.window.end))
        found = list(range(first, last))
        if self.order == "none":
            found.sort(key=lambda number: crc32(b"%d" % number))
        for at in range(0, max(1, len(found)), read.page_size):
            self.requests += 1
            data = [msgspec.Raw(b'{"t":%d}' % self.times[number]) for number in found[at : at + read.page_size]]
            yield Page(data, "more" if at + read.page_size < len(found) else None)


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

    @property
    def counts(self) -> list[Count]:
        """What the first bot's run counted, as the next run's hint."""
        return self.spans[0].coverage.counts


def span_of(  # noqa: PLR0913
    start: int, end: int = NOW, *, bookmark: int | None = None, counts: Sequence[Count] = (), lookback_days: int = 1,
    window_days: int = 30, name: str = "bot",
) -> BotSpan:  # fmt: skip
    """Plan to read a bot from `start`, or from a little behind its bookmark."""
    first, last = (datetime.fromtimestamp(edge, UTC) for edge in (start, end))
    settings = SpanSettings(first, last, True, window_days, lookback_days, 1000, "t", "", "conversations")  # noqa: FBT003
    behind = None if bookmark is None else datetime.fromtimestamp(bookmark, UTC)
    return BotSpan(name, "", behind, counts, settings, None, logging.getLogger("simulation"))


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
    outcome = Outcome(spans=list(spans))
    by_name = {span.bot_name: api for span, api in zip(spans, apis, strict=True)}
    limiter: Any = type("Clock", (), {"in_flight": 3 * ASSUMED_ANSWER})()
    pool = ReaderPool(spans, lambda span, read: by_name[span.bot_name].pages(span, read), limiter, most_at_once)
    lanes: list[Lane] = pool._lanes  # noqa: SLF001
    under_way: list[tuple[float, int, Lane, Any]] = []
    numbers, now, turn, since = count(), 0.0, 0.0, defaultdict[str, int](int)
    while True:
        while pool._turn < len(lanes) - 1 and lanes[pool._turn].is_over:  # noqa: SLF001
            pool._turn += 1  # noqa: SLF001
        lane = pool._lane_to_read() if len(under_way) < most_at_once else None  # noqa: SLF001
        if lane and turn <= (under_way[0][0] if under_way else turn):
            now = max(now, turn)
            turn = now + INTERVAL
            reading = lane.begin(pool._fetch, pool._in_flight)  # noqa: SLF001
            heapq.heappush(under_way, (now + answer, next(numbers), lane, reading))
            outcome.most_at_once = max(outcome.most_at_once, len(under_way))
            continue
        if not under_way:
            break
        now, _, lane, reading = heapq.heappop(under_way)
        limiter.in_flight = 3 * answer
        turn = max(turn, now)
        pool._page_came(lane, reading, next(reading.pages))  # noqa: SLF001
        current = lanes[pool._turn]  # noqa: SLF001
        outcome.most_beyond = max(outcome.most_beyond, sum(current.read.values()))
        while current.arrived:
            arrival = current.arrived.popleft()
            if arrival.page is not None:
                seen = current.span.page_came(arrival.read.window, arrival.number)
                for moment in arrival.page.values_of("t"):
                    seen.tens[text_of(moment)] += 1
                outcome.records += len(arrival.page.data)
                since["records"] += len(arrival.page.data)
                continue
            if current.span.finish(arrival.read.window, arrival.records):
                outcome.most_between_checkpoints = max(outcome.most_between_checkpoints, since.pop("records", 0))
                current.forget_complete()
    for span in spans:
        span.require_complete()
    outcome.seconds = now
    outcome.requests = sum(api.requests for api in apis)
    return outcome
