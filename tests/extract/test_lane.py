"""The pool and its lanes: what is read in which order, and within what bounds. All by a clock of the tests' own."""

from __future__ import annotations

import itertools
import logging
import random
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_deepconverse.api.errors import APIError
from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.lane import MOST_BEYOND, Lane
from tap_deepconverse.extract.pool import MOST_BYTES, PATIENCE, Pool
from tap_deepconverse.records.page import Page
from tests.simulation import DAY, NOW, Api, span_of, text_of, times_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_deepconverse.extract.lane import Reading
    from tap_deepconverse.extract.window import Window, WindowRead

    Fault = Callable[[WindowRead, int, Page], Page]

START = NOW - 30 * DAY


@dataclass
class FaultyApi(Api):
    """An API that may answer otherwise: `fault` gets a window, a page's number from 1 and the page."""

    fault: Fault = lambda _, __, page: page
    reads: list[WindowRead] = field(default_factory=list)

    def pages(self, bot_name: str, read: WindowRead, stopped: threading.Event) -> Iterator[Page]:
        self.reads.append(read)
        whole = super().pages(bot_name, read, stopped)
        for number, page in enumerate(itertools.chain(whole, itertools.repeat(Page([]))), 1):
            yield self.fault(read, number, page)


@dataclass
class Hands:
    """Workers that answer in random order. Those that hang never answer; then time passes."""

    seed: int = 1
    hangs: Callable[[Reading], bool] = lambda _: False
    now: float = 0.0
    asked: list[Reading] = field(default_factory=list)
    most_at_once: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def are_waiting(self, name: str) -> bool:
        assert name
        return False

    def ask(self, reading: Reading) -> None:
        assert reading not in self.asked
        self.asked.append(reading)
        self.most_at_once = max(self.most_at_once, len(self.asked))

    def answer(self, seconds: float) -> tuple[Reading, Page | BaseException] | None:
        ready = [reading for reading in self.asked if not self.hangs(reading)]
        if not ready:
            self.now += seconds
            return None
        reading = self.chance.choice(ready)
        self.asked.remove(reading)
        try:
            return reading, reading.next_page(self.stopped)
        except Exception as error:  # noqa: BLE001  as the threads do
            return reading, error


@dataclass
class Taken:
    """What has been taken from lanes; checks that each window's pages come in order, and then its end."""

    emitted: Counter[int] = field(default_factory=Counter)
    pages: Counter[tuple[Lane, Window]] = field(default_factory=Counter)
    ended: list[tuple[Lane, Window]] = field(default_factory=list)
    most_beyond: int = 0

    def take(self, lane: Lane) -> None:
        self.most_beyond = max(self.most_beyond, sum(each.number for each in lane.open))
        while lane.inbox:
            arrival = lane.inbox.popleft()
            window = arrival.reading.read.window
            assert lane.failure is None or window.start < lane.failure[0]
            assert (lane, window) not in self.ended
            if arrival.page is None:
                assert arrival.number == self.pages[lane, window]
                self.ended.append((lane, window))
                lane.finish(arrival.reading)
                continue
            if arrival.number == 1:  # perhaps again
                self.pages[lane, window] = 0
                lane.span.begin(window)
            self.pages[lane, window] += 1
            assert arrival.number == self.pages[lane, window]
            assert isinstance(lane.source, Api)
            for raw in arrival.page.data:
                number = int(bytes(raw))
                record = {"_id": str(number), "t": text_of(lane.source.times[number])}
                self.emitted[number] += lane.span.admit(window, record)


def lane_of(api: Api, start: int = START) -> Lane:
    return Lane("bot", span_of(start), api, logging.getLogger("lane"))


def read(lanes: Sequence[Lane], hands: Hands | None = None, most_at_once: int = 16) -> Taken:
    """Read lanes to their ends; without hands, in random order."""
    hands, taken = hands or Hands(), Taken()
    for lane in Pool(lanes, hands, most_at_once, lambda: hands.now).arrivals():
        if lane:
            taken.take(lane)
    assert hands.most_at_once <= most_at_once * len({lane.source.name for lane in lanes})
    return taken


def failing_at(moment: int) -> Fault:
    def fault(read: WindowRead, _: int, page: Page) -> Page:
        if read.window.start <= moment < read.window.end:
            msg = "no"
            raise APIError(msg, "404")
        return page

    return fault


@pytest.mark.parametrize("most_at_once", [1, 3, 16])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_each_page_comes_in_order_and_then_the_end_of_its_window(most_at_once: int, *, is_sorted: bool) -> None:
    lane = lane_of(Api(times_of(30_000, 30, "campaign"), is_sorted))
    taken = read([lane], most_at_once=most_at_once)
    assert lane.failure is None
    assert lane.span.until == NOW
    assert taken.emitted.keys() == set(range(30_000))
    edges = sorted(window for _, window in taken.ended)
    assert (edges[0].start, edges[-1].end) == (START, NOW)
    assert all(before.end == after.start for before, after in itertools.pairwise(edges))


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(START - DAY, NOW + DAY), max_size=200).map(sorted),
    page_size=st.integers(2, 30),
    most_at_once=st.sampled_from([1, 3, 16]),
    seed=st.integers(0, 1000),
)
def test_whatever_a_bot_holds_nothing_is_left_out(
    times: list[int], page_size: int, most_at_once: int, seed: int
) -> None:
    lane = lane_of(Api(times, is_sorted=False, page_size=page_size))
    taken = read([lane], Hands(seed), most_at_once)
    assert lane.failure is None
    assert lane.span.until == NOW
    assert {number for number, time in enumerate(times) if START <= time <= NOW} <= taken.emitted.keys()


@pytest.mark.parametrize("most_at_once", [1, 3, 16])
def test_windows_before_one_that_fails_are_read_to_the_end_and_no_others(most_at_once: int) -> None:
    moment = NOW - 10 * DAY
    api = FaultyApi(times_of(30_000, 30), fault=failing_at(moment))
    lane = lane_of(api)
    taken = read([lane], Hands(7), most_at_once)
    assert lane.failure is not None
    begin, error = lane.failure
    assert str(error) == "no"
    assert lane.span.until == begin <= moment
    assert {number for number, time in enumerate(api.times) if time < begin} <= taken.emitted.keys()
    assert sum(read.window.end <= begin for read in api.reads) > 5
    assert sum(read.window.start > begin for read in api.reads) <= 16


def test_what_hangs_before_a_window_that_fails_keeps_the_error_for_five_seconds() -> None:
    api = FaultyApi(times_of(30_000, 30), fault=failing_at(NOW - 20 * DAY))
    lane = lane_of(api)
    other = lane_of(Api(times_of(100, 30), name="messages"))
    hands = Hands(hangs=lambda reading: reading.lane is lane and reading.read.window.start == START + DAY)
    read([lane, other], hands)
    assert PATIENCE <= hands.now <= PATIENCE + 2
    assert lane.is_over
    assert lane.failure is not None
    assert lane.span.until == START + DAY
    assert (other.failure, other.span.until) == (None, NOW)


def test_a_record_that_cannot_be_emitted_fails_its_window_and_those_after_it() -> None:
    lane = lane_of(Api(times_of(30_000, 30)))
    hands, taken = Hands(), Taken()
    failed: list[Window] = []
    for _ in Pool([lane], hands, 16, lambda: hands.now).arrivals():
        if lane.inbox and len(taken.ended) >= 5 and not failed:
            failed.append(lane.inbox[0].reading.read.window)
            lane.fail(failed[0], ExtractionError("this"))
        taken.take(lane)
    assert lane.span.until == failed[0].start
    assert (lane, failed[0]) not in taken.ended


@pytest.mark.parametrize("most_at_once", [1, 3, 16])
def test_nothing_is_requested_while_nobody_takes_the_pages(most_at_once: int) -> None:
    api = Api(times_of(100_000, 30))
    hands = Hands()
    arrivals = Pool([lane_of(api)], hands, most_at_once).arrivals()
    for _ in range(50):
        next(arrivals)
        before = api.requests, len(hands.asked)
        assert len(hands.asked) < most_at_once
        assert before == (api.requests, len(hands.asked))
    assert api.requests <= 50


@pytest.mark.parametrize(
    ("shape", "clamp"),
    [
        ("rhythm", 1000),
        ("even", 1000),
        ("campaign", 1000),
        ("even", 250),
        ("rhythm", 250),
    ],
)
def test_few_pages_lie_beyond_the_checkpoint(shape: str, clamp: int) -> None:
    times = times_of(60_000, 30, shape)
    for seed in range(3):
        taken = read([lane_of(Api(times, is_sorted=False, clamp=clamp))], Hands(seed))
        assert taken.most_beyond <= MOST_BEYOND


@pytest.mark.parametrize(("megabytes", "most"), [(100, 1), (40, 1), (20, 3), (10, 6), (1, 16)])
def test_large_pages_are_read_few_at_once(megabytes: int, most: int) -> None:
    size = megabytes * 1_000_000
    api = FaultyApi(times_of(60_000, 30), fault=lambda _, number, page: replace(page, size=size // number))
    hands, taken, at_once = Hands(), Taken(), Counter[int]()
    lanes = [lane_of(api), lane_of(api)]
    for lane in Pool(lanes, hands, 16, lambda: hands.now).arrivals():
        assert lane
        taken.take(lane)
        at_once[api.requests] = len(hands.asked) + 1
    after_the_first = [number for requests, number in at_once.items() if requests > 16]
    assert max(after_the_first) == most
    assert most * size <= max(MOST_BYTES, size)


def test_lanes_of_two_streams_have_workers_of_their_own() -> None:
    times = times_of(30_000, 30)
    lanes = [lane_of(Api(times, name=name)) for name in ("conversations", "messages")]
    hands = Hands(hangs=lambda reading: reading.lane is lanes[0])
    arrivals = Pool(lanes, hands, 3, lambda: hands.now).arrivals()
    taken = Taken()
    while not lanes[1].is_over:
        if lane := next(arrivals):
            taken.take(lane)
    assert len(hands.asked) == 3
    assert lanes[1].span.until == NOW


def test_an_error_that_nobody_expects_ends_the_run() -> None:
    def fault(_: WindowRead, __: int, page: Page) -> Page:
        raise ZeroDivisionError(page.keys)

    with pytest.raises(ZeroDivisionError):
        read([lane_of(FaultyApi([], fault=fault))])
