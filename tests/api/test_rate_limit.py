import pytest

from tap_deepconverse.api.errors import StoppedError
from tap_deepconverse.api.rate_limit import ASSUMED_ANSWER, MOST_SLACK, NEW_CONNECTION, SLACK, RateLimiter
from tests.support import Time

INTERVAL = SLACK / 3


def gaps(limiter: RateLimiter, time: Time, number: int) -> list[float]:
    """How long each of so many requests waits, one after another."""
    found = []
    for _ in range(number):
        began = time()
        limiter.wait(time)
        found.append(time() - began)
    return found


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def limiter(clock: Time) -> RateLimiter:
    """One that has let a request pass."""
    limiter = RateLimiter(3, clock)
    limiter.wait(clock)
    return limiter


def test_turns_are_spread_evenly_and_what_was_not_used_is_not_made_up_for(clock: Time, limiter: RateLimiter) -> None:
    assert gaps(limiter, clock, 30) == pytest.approx([INTERVAL] * 30)
    clock.seconds += 60
    assert gaps(limiter, clock, 5) == pytest.approx([0, *[INTERVAL] * 4])


def test_the_first_request_on_an_open_connection_keeps_its_distance_from_those_that_had_to_open_one(
    clock: Time, limiter: RateLimiter
) -> None:
    gaps(limiter, clock, 5)
    limiter.took(2)
    assert gaps(limiter, clock, 3) == pytest.approx([INTERVAL + NEW_CONNECTION, INTERVAL, INTERVAL])
    limiter.took(2)
    assert gaps(limiter, clock, 1) == pytest.approx([INTERVAL])


def test_a_pause_is_also_for_a_turn_that_is_being_waited_for_and_a_shorter_one_does_not_end_it(
    clock: Time, limiter: RateLimiter
) -> None:
    def pause() -> None:
        limiter.pause(5)
        limiter.pause(1)

    clock.when_waiting = pause
    assert gaps(limiter, clock, 1)[0] >= 5


def test_a_limiter_that_was_refused_goes_more_slowly_but_not_slower_and_slower(
    clock: Time, limiter: RateLimiter
) -> None:
    limiter.pause(0)
    assert gaps(limiter, clock, 2)[1] > INTERVAL
    for _ in range(100):
        limiter.pause(0)
    assert gaps(limiter, clock, 5)[2:] == pytest.approx([MOST_SLACK / 3] * 3)


def test_whoever_waits_when_all_is_over_is_let_go(clock: Time, limiter: RateLimiter) -> None:
    limiter.pause(600)
    clock.when_waiting = clock.set
    with pytest.raises(StoppedError):
        limiter.wait(clock)


def test_how_many_are_in_flight_follows_how_long_answers_take(limiter: RateLimiter) -> None:
    assert limiter.in_flight == 3 * ASSUMED_ANSWER
    limiter.took(0.5)
    assert limiter.in_flight == 1.5
    for _ in range(50):
        limiter.took(4.0)
    assert 11.9 < limiter.in_flight <= 12
    limiter.took(0.1)  # one answer that came sooner does not say much
    assert limiter.in_flight > 8
