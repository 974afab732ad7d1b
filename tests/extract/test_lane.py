"""The pool and its lanes: what is read in which order, and within what bounds. All by a clock of the tests' own."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_deepconverse.api.errors import APIError
from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.lane import MOST_BEYOND, Lane
from tap_deepconverse.extract.pool import MOST_BYTES, PATIENCE, Answer, Pool
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.records.page import Page
from tests import simulation
from tests.simulation import DAY, NOW, Api, Taken, span_of, times_of

Fault = Callable[[Reading, int, Page], Page]

START = NOW - 30 * DAY

few_and_many_at_once = pytest.mark.parametrize("most_at_once", [1, 3, 16])


@dataclass
class FaultyApi(Api):
    """An API that may answer otherwise: `fault` gets a window, a page's number from 1 and the page."""

    fault: Fault = lambda _, __, page: page
    reads: list[Reading] = field(default_factory=list)

    def pages(self, bot_name: str, reading: Reading, stopped: threading.Event) -> Iterator[Page]:
        self.reads.append(reading)
        whole = super().pages(bot_name, reading, stopped)
        for number, page in enumerate(itertools.chain(whole, itertools.repeat(Page([]))), 1):
            yield self.fault(reading, number, page)


@dataclass
class Hands:
    """Workers that answer in random order. Those that hang never answer; then time passes."""

    seed: int = 1
    hangs: Callable[[Lane, Reading], bool] = lambda *_: False
    now: float = 0.0
    asked: list[tuple[Lane, Reading]] = field(default_factory=list)
    sent: list[Answer] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def ask(self, lane: Lane, reading: Reading) -> None:
        assert (lane, reading) not in self.asked
        self.asked.append((lane, reading))
        self.sent.append((lane, reading, None))
        self.most_at_once = max(self.most_at_once, len(self.asked))

    def answer(self, seconds: float) -> Answer | None:
        if self.sent:
            return self.sent.pop()
        ready = [job for job in self.asked if not self.hangs(*job)]
        if not ready:
            self.now += seconds
            return None
        lane, reading = job = self.chance.choice(ready)
        self.asked.remove(job)
        try:
            return lane, reading, lane.fetch(reading, threading.Event())
        except Exception as error:  # noqa: BLE001  as the threads do
            return lane, reading, error


def lane_of(api: Api, start: int = START) -> Lane:
    return simulation.lane_of(span_of(start), api)


def read(lanes: Sequence[Lane], hands: Hands | None = None, most_at_once: int = 16) -> Taken:
    """Read lanes to their ends; without hands, in random order."""
    hands, taken = hands or Hands(), Taken()
    for lane in Pool(lanes, hands, most_at_once, lambda: hands.now).arrivals():
        if lane:
            taken.take(lane)
    assert hands.most_at_once <= most_at_once * len({lane.source.name for lane in lanes})
    return taken


def failing_at(moment: int) -> Fault:
    def fault(reading: Reading, _: int, page: Page) -> Page:
        if reading.window.start <= moment < reading.window.end:
            msg = "no"
            raise APIError(msg, "404")
        return page

    return fault


@few_and_many_at_once
@pytest.mark.parametrize("is_sorted", [True, False])
def test_each_window_is_read_to_its_end_once(most_at_once: int, *, is_sorted: bool) -> None:
    lane = lane_of(Api(times_of(30_000, 30, "campaign"), is_sorted))
    taken = read([lane], most_at_once=most_at_once)
    assert (lane.failure, lane.span.until) == (None, NOW)
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
    assert (lane.failure, lane.span.until) == (None, NOW)
    assert {number for number, time in enumerate(times) if START <= time <= NOW} <= taken.emitted.keys()


@few_and_many_at_once
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
    assert sum(reading.window.end <= begin for reading in api.reads) > 5
    assert sum(reading.window.start > begin for reading in api.reads) <= 16


def test_what_hangs_before_a_window_that_fails_keeps_the_error_for_five_seconds() -> None:
    lane = lane_of(FaultyApi(times_of(30_000, 30), fault=failing_at(NOW - 20 * DAY)))
    other = lane_of(Api(times_of(100, 30), name="messages"))
    hands = Hands(hangs=lambda hanging, reading: hanging is lane and reading.window.start == START + DAY)
    read([lane, other], hands)
    assert PATIENCE <= hands.now <= PATIENCE + 2
    assert lane.is_over
    assert lane.failure is not None
    assert lane.span.until == START + DAY
    assert (other.failure, other.span.until) == (None, NOW)


def test_a_record_that_cannot_be_emitted_fails_its_window_and_those_after_it() -> None:
    lane = lane_of(Api(times_of(30_000, 30)))
    taken, failed = Taken(), 0
    for _ in Pool([lane], Hands(), 16).arrivals():
        if lane.inbox and len(taken.ended) >= 5 and not failed:
            failed = lane.inbox[0][0].window.start
            lane.fail(failed, ExtractionError("this"))
        taken.take(lane)
    assert lane.span.until == failed
    assert failed not in {window.start for _, window in taken.ended}


@few_and_many_at_once
def test_nothing_is_requested_while_nobody_takes_the_pages(most_at_once: int) -> None:
    api, hands = Api(times_of(100_000, 30)), Hands()
    arrivals = Pool([lane_of(api)], hands, most_at_once).arrivals()
    for _ in range(50):
        has_come = next(arrivals)
        assert len(hands.asked) + bool(has_come) <= most_at_once
    assert api.requests <= 50


@pytest.mark.parametrize(("shape", "clamp"), [("rhythm", 1000), ("campaign", 1000), ("even", 250), ("rhythm", 250)])
def test_few_pages_lie_beyond_the_checkpoint(shape: str, clamp: int) -> None:
    times = times_of(60_000, 30, shape)
    for seed in range(3):
        taken = read([lane_of(Api(times, is_sorted=False, clamp=clamp))], Hands(seed))
        assert taken.most_beyond <= MOST_BEYOND


@pytest.mark.parametrize(("megabytes", "most"), [(100, 1), (20, 3), (10, 6), (1, 16)])
def test_large_pages_are_read_few_at_once(megabytes: int, most: int) -> None:
    size = megabytes * 1_000_000
    api = FaultyApi(times_of(60_000, 30), fault=lambda _, number, page: replace(page, size=size // number))
    hands, taken, at_once = Hands(), Taken(), Counter[int]()
    for lane in Pool([lane_of(api), lane_of(api)], hands, 16).arrivals():
        if lane is None:
            continue
        taken.take(lane)
        at_once[api.requests] = len(hands.asked) + 1
    assert max(number for requests, number in at_once.items() if requests > 16) == most
    assert most * size <= max(MOST_BYTES, size)


def test_lanes_of_two_streams_have_workers_of_their_own() -> None:
    times = times_of(30_000, 30)
    slow, quick = (lane_of(Api(times, name=name)) for name in ("conversations", "messages"))
    hands, taken = Hands(hangs=lambda lane, _: lane is slow), Taken()
    arrivals = Pool([slow, quick], hands, 3).arrivals()
    while not quick.is_over:
        if lane := next(arrivals):
            taken.take(lane)
    assert len(hands.asked) == 3
    assert quick.span.until == NOW


def test_an_error_that_nobody_expects_ends_the_run() -> None:
    def fault(_: Reading, __: int, page: Page) -> Page:
        raise ZeroDivisionError(page.keys)

    with pytest.raises(ZeroDivisionError):
        read([lane_of(FaultyApi([], fault=fault))])
