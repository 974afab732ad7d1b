import threading
from itertools import pairwise

import pytest

from tap_deepconverse.api.errors import StoppedError
from tap_deepconverse.api.rate_limit import ASSUMED_ANSWER, MOST_SLACK, NEW_CONNECTION, SLACK, RateLimiter
from tests.support import Time

INTERVAL = SLACK / 3


def turns(limiter: RateLimiter, time: Time, number: int) -> list[float]:
    """When so many requests may be sent, one after another."""
    found = []
    for _ in range(number):
        limiter.wait(time)
        found.append(time())
    return found


def gaps(found: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(found)]


def test_turns_are_spread_evenly_and_what_was_not_used_is_not_made_up_for() -> None:
    clock = Time()
    limiter = RateLimiter(3, clock)
    assert gaps(turns(limiter, clock, 30)) == pytest.approx([INTERVAL] * 29)
    clock.seconds += 60
    assert gaps(turns(limiter, clock, 5)) == pytest.approx([INTERVAL] * 4)


def test_the_first_request_on_an_open_connection_keeps_its_distance_from_those_that_had_to_open_one() -> None:
    clock = Time()
    limiter = RateLimiter(3, clock)
    before = turns(limiter, clock, 6)
    limiter.took(2)
    after = turns(limiter, clock, 3)
    limiter.took(2)
    assert gaps([*before[-1:], *after]) == pytest.approx([INTERVAL + NEW_CONNECTION, INTERVAL, INTERVAL])
    assert gaps([*after[-1:], *turns(limiter, clock, 1)]) == pytest.approx([INTERVAL])


def test_a_pause_is_also_for_a_turn_that_is_being_waited_for_and_a_shorter_one_does_not_end_it() -> None:
    clock = Time()
    limiter = RateLimiter(3, clock)
    limiter.wait(clock)

    def pause() -> None:
        limiter.pause(5)
        limiter.pause(1)

    clock.when_waiting = pause
    began = clock()
    limiter.wait(clock)
    assert clock() - began >= 5


def test_a_limiter_that_was_refused_goes_more_slowly_but_not_slower_and_slower() -> None:
    clock = Time()
    limiter = RateLimiter(3, clock)
    limiter.pause(0)
    assert gaps(turns(limiter, clock, 2))[0] > INTERVAL
    for _ in range(100):
        limiter.pause(0)
    assert gaps(turns(limiter, clock, 5))[1:] == pytest.approx([MOST_SLACK / 3] * 3)


def test_whoever_waits_when_all_is_over_is_let_go() -> None:
    limiter = RateLimiter(1)
    limiter.pause(600)
    stopped = threading.Event()
    threading.Timer(0.05, stopped.set).start()
    with pytest.raises(StoppedError):
        limiter.wait(stopped)


def test_how_many_are_in_flight_follows_how_long_answers_take() -> None:
    clock = Time()
    limiter = RateLimiter(3, clock)
    assert limiter.in_flight == 3 * ASSUMED_ANSWER
    limiter.took(0.5)
    assert limiter.in_flight == 1.5
    for _ in range(50):
        limiter.took(4.0)
    assert 11.9 < limiter.in_flight <= 12
    limiter.took(0.1)  # one answer that came sooner does not say much
    assert limiter.in_flight > 8
