from __future__ import annotations

import threading
import time
from itertools import count

import pytest

from tap_deepconverse.api.rate_limit import ASSUMED_ANSWER, MOST_SLACK, RateLimiter, StoppedError


def test_turns_are_spread_evenly_over_all_threads() -> None:
    limiter, stopped, turns = RateLimiter(20), threading.Event(), []

    def ask() -> None:
        for _ in range(4):
            limiter.wait(stopped)
            turns.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns.sort()
    # A late wake-up may shorten the next gap, but nothing may come in a burst.
    assert turns[-1] - turns[0] >= 15 * 0.050
    assert all(later - earlier >= 0.5 for earlier, later in zip(turns, turns[11:], strict=False))


def test_a_pause_is_for_all_threads() -> None:
    limiter, stopped, turns = RateLimiter(100), threading.Event(), []
    limiter.pause(0.3)
    began = time.monotonic()

    def ask() -> None:
        limiter.wait(stopped)
        turns.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(turns) >= 0.3


def test_a_pause_is_also_for_a_turn_that_is_being_waited_for() -> None:
    limiter, stopped = RateLimiter(4), threading.Event()
    began = time.monotonic()
    limiter.wait(stopped)
    threading.Timer(0.1, limiter.pause, [0.5]).start()
    limiter.wait(stopped)
    assert time.monotonic() - began >= 0.6


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    limiter, stopped = RateLimiter(100), threading.Event()
    began = time.monotonic()
    limiter.pause(0.3)
    limiter.pause(0.01)
    limiter.wait(stopped)
    assert time.monotonic() - began >= 0.3


def seconds_for(limiter: RateLimiter, turns: int) -> float:
    stopped = threading.Event()
    limiter.wait(stopped)
    began = time.monotonic()
    for _ in range(turns):
        limiter.wait(stopped)
    return time.monotonic() - began


def test_a_limiter_that_was_refused_goes_more_slowly_but_not_slower_and_slower() -> None:
    refused = RateLimiter(100)
    for _ in range(100):
        refused.pause(0)
    seconds = seconds_for(refused, 40)
    assert seconds >= 0.4 * (MOST_SLACK - 0.02)
    assert seconds < 0.4 * 1.6


def test_whoever_waits_when_all_is_over_is_let_go() -> None:
    limiter, stopped, let_go = RateLimiter(1), threading.Event(), count()
    limiter.pause(60)

    def ask() -> None:
        with pytest.raises(StoppedError):
            limiter.wait(stopped)
        next(let_go)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    stopped.set()
    for thread in threads:
        thread.join(5)
    assert next(let_go) == 3


def test_no_turn_is_given_when_all_is_over() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(StoppedError):
        RateLimiter(100).wait(stopped)


def test_how_many_are_in_flight_follows_how_long_answers_take() -> None:
    limiter = RateLimiter(3)
    assert limiter.in_flight == 3 * ASSUMED_ANSWER
    limiter.took(0.5)
    assert limiter.in_flight == 1.5
    for _ in range(50):
        limiter.took(4.0)
    assert 11.9 < limiter.in_flight <= 12
    limiter.took(0.1)  # one answer that came sooner does not say much
    assert limiter.in_flight > 8
