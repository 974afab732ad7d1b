from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import RetriableAPIError

from tap_deepconverse.api.retry import PageSizeDoubt, RetryPolicy, in_words, retry_after
from tests.support import Clock

if TYPE_CHECKING:
    from collections.abc import Callable


def failure(**headers: str) -> RetriableAPIError:
    response = requests.Response()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return RetriableAPIError("no", response)


def waits(policy: RetryPolicy, seconds_to_fail: float = 0, *, fail: Callable[[], Exception] = failure) -> list[float]:
    """How long is waited after each failure until the request fails, by a clock that goes on meanwhile."""
    clock = Clock()
    generator = policy.waits(clock)
    next(generator)
    waited: list[float] = []
    while True:
        clock.seconds += seconds_to_fail if waited else 0
        try:
            waited.append(generator.send(fail()))
        except StopIteration:
            return waited
        clock.seconds += waited[-1]


def test_waits_double_up_to_a_longest_and_end() -> None:
    policy = RetryPolicy(first_wait=1, longest_wait=8, total=30, jitter=0)
    assert waits(policy) == [1, 2, 4, 8, 8, 7]


def test_waits_are_spread_so_that_not_all_come_back_at_once() -> None:
    firsts = [waits(RetryPolicy())[0] for _ in range(200)]
    assert all(1 <= first <= 1.25 for first in firsts)
    assert max(firsts) - min(firsts) > 0.1


@given(st.floats(0, 60), st.floats(0, 0.25))
def test_an_outage_of_five_minutes_is_survived_and_ten_are_not(seconds_to_fail: float, jitter: float) -> None:
    waited = waits(RetryPolicy(jitter=jitter), seconds_to_fail)
    last_try_begins = sum(waited) + seconds_to_fail * (len(waited) - 1)
    assert 300 < last_try_begins < 600
    assert max(waited) <= 60 * 1.25


def test_what_takes_minutes_to_fail_is_still_tried_often_enough_to_ask_for_less() -> None:
    assert len(waits(RetryPolicy(), 300)) >= 4


@pytest.mark.parametrize(("asked", "first"), [("5", 5), ("0", 1), ("30", 30), ("31", 31), ("-1", 1), ("soon", 1)])
def test_what_the_api_asks_for_counts(asked: str, first: float) -> None:
    assert waits(RetryPolicy(total=30, jitter=0), fail=lambda: failure(Retry_After=asked))[0] == first


@given(st.integers(1, 300), st.floats(0, 60), st.floats(0, 0.25))
def test_an_outage_of_five_minutes_is_survived_whatever_the_api_asks_for(
    asked: int, seconds_to_fail: float, jitter: float
) -> None:
    waited = waits(RetryPolicy(jitter=jitter), seconds_to_fail, fail=lambda: failure(Retry_After=str(asked)))
    assert all(asked <= wait <= asked * (1 + jitter) for wait in waited)
    assert 300 <= sum(waited) + seconds_to_fail * (len(waited) - 1) < 360 + 60 + 1.25 * 300


def test_a_wait_of_the_longest_that_may_be_asked_for_is_followed_by_a_try() -> None:
    assert waits(RetryPolicy(jitter=0), 60, fail=lambda: failure(Retry_After="300")) == [300]


def test_errors_that_say_nothing_of_waiting_are_waited_for() -> None:
    policy = RetryPolicy(total=1, fewest_tries=1, jitter=0)
    assert waits(policy, fail=lambda: requests.ConnectionError("no")) == [1.0]


NOW = datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1e9"}, 0),
        ({"Retry-After": "٣"}, 0),
        ({"Retry-After": "Sun, 01 Mar 2026 00:00:30 GMT", "Date": "Sat, 28 Feb 2026 23:59:30 GMT"}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 00:00:30", "Date": "Sat, 28 Feb 2026 23:59:30 GMT"}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 01:00:30 +0100", "Date": "Sat, 28 Feb 2026 23:59:30 GMT"}, 60),
        ({"Retry-After": "Sat, 28 Feb 2026 23:00:00 GMT", "Date": "Sat, 28 Feb 2026 23:59:30 GMT"}, 0),
        ({"Retry-After": "Sun, 99 Mar 2026 00:00:30 GMT"}, 0),
    ],
)
def test_what_is_asked_for_is_read_in_seconds_and_as_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers) == seconds


def test_a_date_is_held_against_this_machine_s_clock_where_the_server_does_not_say_its_own() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < retry_after({"Retry-After": later}) <= 90


dates = st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True))
spoilt_dates = st.tuples(dates, st.integers(0, 28), st.text(max_size=3)).map(
    lambda d: d[0][: d[1]] + d[2] + d[0][d[1] :]
)


@given(st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text() | dates | spoilt_dates))
def test_whatever_a_header_says_it_is_a_number_of_seconds(headers: dict[str, Any]) -> None:
    assert retry_after(headers) >= 0


def test_durations_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 119, 120, 7100, 7200, 100_000, 259_200)] == [
        "0 s", "119 s", "2 min", "118 min", "2.0 h", "27.8 h", "3 days",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("doubt", "calls_for_small_page"),
    [
        (PageSizeDoubt(2), False),
        (PageSizeDoubt(3), True),
        (PageSizeDoubt(10), True),
        (PageSizeDoubt(3, small_page_came=True), False),
    ],
)
def test_when_a_small_page_is_asked_for(doubt: PageSizeDoubt, calls_for_small_page: bool) -> None:  # noqa: FBT001
    assert doubt.calls_for_small_page is calls_for_small_page
    assert not doubt.is_page_too_large


def test_it_is_the_page_if_a_small_one_comes_and_it_still_does_not() -> None:
    assert PageSizeDoubt(4, small_page_came=True).is_page_too_large
