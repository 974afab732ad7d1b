"""The threads, which only fetch. What waits here waits for an event, not for a time."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tap_deepconverse.api.errors import APIError, StoppedError
from tap_deepconverse.extract.fallback import ExtractionError
from tap_deepconverse.extract.pool import Pool
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.extract.workers import Threads
from tap_deepconverse.records.page import Page
from tests.extract.test_lane import lane_of
from tests.simulation import NOW, Api, times_of

FOR_LONG = 300.0


@dataclass
class Source(Api):
    """An API that answers once it may, with a limiter that lets pass once it may."""

    error: BaseException | None = None
    may_send: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    is_asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.may_send.set()
        self.may_answer.set()

    def wait(self, stopped: threading.Event) -> None:
        while not self.may_send.wait(0.01):
            if stopped.is_set():
                raise StoppedError

    def pages(self, bot_name: str, reading: Reading, stopped: threading.Event) -> Iterator[Page]:
        for page in super().pages(bot_name, reading, stopped):
            self.is_asked.set()
            assert self.may_answer.wait(FOR_LONG)
            if self.error:
                raise self.error
            yield page


def begin(threads: Threads, source: Source) -> Reading:
    lane = lane_of(source)
    reading = lane.next()
    assert reading
    threads.ask(lane, reading)
    return reading


def next_of(threads: Threads) -> tuple[Reading, Page | BaseException]:
    while True:
        answer = threads.answer(FOR_LONG)
        assert answer
        _, reading, came = answer
        if came is not None:
            return reading, came


def test_a_page_comes_back_for_its_window_once_its_limiter_lets_it_pass() -> None:
    source = Source([NOW - 100])
    source.may_send.clear()
    with Threads(threading.Event()) as threads:
        reading = begin(threads, source)
        assert threads.answer(0.0) is None
        assert not source.is_asked.is_set()
        source.may_send.set()
        sent = threads.answer(FOR_LONG)
        assert sent
        assert sent[1:] == (reading, None)
        assert next_of(threads) == (reading, Page([]))
        assert threads.answer(0.0) is None


@pytest.mark.parametrize("error", [APIError("no", "404"), ZeroDivisionError(), KeyboardInterrupt()])
def test_an_error_comes_back_as_the_answer(error: BaseException) -> None:
    with Threads(threading.Event()) as threads:
        for _ in range(2):
            reading = begin(threads, Source([], error=error))
            assert next_of(threads) == (reading, error)


def test_streams_do_not_wait_for_each_other() -> None:
    slow, limited, quick = (Source([], name=name) for name in ("conversations", "messages", "others"))
    slow.may_answer.clear()
    limited.may_send.clear()
    with Threads(threading.Event()) as threads:
        first = [begin(threads, slow), begin(threads, slow), begin(threads, limited)]
        for _ in range(3):
            assert begin(threads, quick) == next_of(threads)[0]
        slow.may_answer.set()
        assert {next_of(threads)[0] for _ in range(2)} == set(first[:2])
        limited.may_send.set()
        assert next_of(threads)[0] == first[2]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_with_fewer_threads_than_wanted_it_goes_on_and_with_none_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if sum(each.is_alive() for each in started) >= most:
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    source = Source([])
    source.may_answer.clear()
    with Threads(threading.Event()) as threads:
        if most:
            asked = {begin(threads, source) for _ in range(5)}
            source.may_answer.set()
            assert {next_of(threads)[0] for _ in range(5)} == asked
        else:
            begin(threads, source)
            with pytest.raises(ExtractionError, match=r"no more threads.*pids\.max"):
                assert all(threads.answer(FOR_LONG) is None for _ in range(1000))
    assert bool(started) == bool(most)


@pytest.mark.parametrize("most_at_once", [1, 16])
def test_requests_end_while_nobody_takes_the_pages(most_at_once: int) -> None:
    source = Source(times_of(20_000, 30))
    with Threads(threading.Event()) as threads:
        arrivals = Pool([lane_of(source)], threads, most_at_once).arrivals()
        while next(arrivals) is None:
            pass
    assert 1 <= source.requests <= most_at_once


def test_no_thread_is_left_behind_and_one_that_hangs_does_not_keep_the_process() -> None:
    before = set(threading.enumerate())
    stopped = threading.Event()
    limited, idle, hanging = (Source([], name=name) for name in ("messages", "others", "conversations"))
    limited.may_send.clear()
    hanging.may_answer.clear()
    with Threads(stopped) as threads:
        for _ in range(5):
            begin(threads, limited)
        begin(threads, idle)
        next_of(threads)
        begin(threads, hanging)
        assert threads.answer(FOR_LONG)
        assert hanging.is_asked.wait(FOR_LONG)
        made = set(threading.enumerate()) - before
        assert len(made) == 6
    assert stopped.is_set()
    assert all(thread.daemon for thread in made)
    hanging.may_answer.set()
    for thread in made:
        thread.join(FOR_LONG)
    assert set(threading.enumerate()) == before
