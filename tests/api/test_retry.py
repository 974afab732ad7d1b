import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import RetriableAPIError

from tap_deepconverse.api.errors import (
    APIError,
    CursorRejectedError,
    MayBeTooLargeError,
    StoppedError,
    UnknownShapeError,
    kind_of,
)
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.api.retry import Retry, RetryPolicy
from tests.support import Time, response_of

PAGE = requests.Response()
DEFAULT = RetryPolicy()


def failure(status: int = 503, **headers: str) -> RetriableAPIError:
    return RetriableAPIError(f"HTTP {status}", response_of(status, **headers))


class Endpoint:
    """An endpoint that is asked in simulated time: it answers as it is told, after so many seconds."""

    def __init__(self, policy: RetryPolicy = DEFAULT, seconds: float = 0.0) -> None:
        self.time = Time()
        self.seconds = seconds
        self.limiter = RateLimiter(10_000, self.time)
        self.retry = Retry(self.limiter, logging.getLogger("retry"), policy, self.time)
        self.sent: list[float] = []

    def ask(self, answers: Callable[[], Exception | None], *, where: str = "Bot", patient: bool = True) -> Any:
        """Send a request until `answers` gives none; gives the response."""

        def send() -> requests.Response:
            self.sent.append(self.time())
            self.time.seconds += self.seconds
            if error := answers():
                raise error
            return PAGE

        self.limiter.wait(self.time)
        return self.retry(send, self.time, where=where, patient=patient)

    def fails(self, *errors: Exception, patient: bool = True) -> Any:
        """Fail with each of these errors, then answer."""
        left = iter(errors)
        return self.ask(lambda: next(left, None), patient=patient)

    @property
    def waits(self) -> list[float]:
        return [b - a - self.seconds for a, b in pairwise(self.sent)]


def test_waits_double_up_to_a_longest_and_end_with_a_sentence() -> None:
    endpoint = Endpoint(RetryPolicy(first_wait=1, longest_wait=8, total=30))
    with pytest.raises(APIError) as over:
        endpoint.ask(failure)
    assert endpoint.waits == pytest.approx([1, 2, 4, 8, 8, 7])
    assert str(over.value) == "HTTP 503; failed after 30 s (attempt 7); see https://deepconverse.statuspage.io"
    assert kind_of(over.value) == "temporary"


@given(st.none() | st.integers(1, 300), st.floats(0, 60))
def test_an_outage_of_five_minutes_is_survived_and_ten_are_not(asked: int | None, seconds: float) -> None:
    """The API may ask for a wait; an attempt takes up to `seconds`, as where packets are swallowed."""
    endpoint = Endpoint(seconds=seconds)
    with pytest.raises(APIError):
        endpoint.ask(lambda: failure(Retry_After=str(asked)) if asked else failure())
    shortest, longest = (asked * 0.999, asked * 1.001) if asked else (0, 60.001)
    assert all(shortest <= wait <= longest for wait in endpoint.waits)
    assert endpoint.sent[-1] - endpoint.sent[0] >= 299
    assert endpoint.time() - endpoint.sent[0] < 360 + 2 * seconds + (longest if asked else 0.1)


@pytest.mark.parametrize(
    ("error", "seconds", "minutes"), [(requests.ConnectTimeout, 15, 7), (requests.ReadTimeout, 60, 10)]
)
def test_where_nothing_answers_an_outage_is_the_endpoint_s(
    error: type[Exception], seconds: float, minutes: int
) -> None:
    """Each of three bots, read in turn, adds an attempt only, also if its page might be too large."""
    endpoint = Endpoint(seconds=seconds)
    for patient in (True, False, False):
        with pytest.raises(APIError, match=r"failed after \d+ min \(attempt \d+\)"):
            endpoint.ask(error, patient=patient)
    assert 360 < endpoint.time() - endpoint.sent[0] <= minutes * 60 + 0.1
    assert endpoint.ask(lambda: None) is PAGE
    assert endpoint.fails(failure()) is PAGE  # since it has answered, failures are retried again


def test_while_others_come_each_request_has_its_own_time() -> None:
    endpoint = Endpoint()

    def fails_while_others_come() -> Exception:
        endpoint.retry(lambda: PAGE, endpoint.time, where="Another")
        return failure()

    with pytest.raises(APIError):
        endpoint.ask(fails_while_others_come)
    assert endpoint.time() - endpoint.sent[0] == pytest.approx(360, abs=0.1)
    assert endpoint.fails(failure()) is PAGE


@pytest.mark.parametrize(("error", "paused"), [(failure(429), 1), (failure(503, Retry_After="7"), 7), (failure(), 0)])
def test_who_is_asked_to_wait_lets_all_others_wait(error: Exception, paused: float) -> None:
    endpoint = Endpoint()
    began = endpoint.time()
    others_came: list[float] = []

    def another_asks() -> None:
        endpoint.limiter.wait(endpoint.time)
        endpoint.retry(lambda: PAGE, endpoint.time, where="Another")
        others_came.append(endpoint.time() - began)

    endpoint.time.when_waiting = another_asks
    endpoint.ask(iter([error, None]).__next__)
    assert others_came == [pytest.approx(paused, abs=0.01)]


def test_a_page_that_fails_three_times_may_be_too_large(caplog: pytest.LogCaptureFixture) -> None:
    """The warning says until when the run tries: with smaller pages."""
    endpoint = Endpoint()
    with pytest.raises(MayBeTooLargeError, match="HTTP 504, repeatedly: the page may be too large") as doubt:
        endpoint.ask(lambda: failure(504), patient=False)
    assert len(endpoint.sent) == 3
    assert kind_of(doubt.value) == "temporary"
    (warning,) = warned(caplog)
    assert "(attempt 2), until about 2" in warning


@pytest.mark.parametrize("patient", [True, False])
def test_an_answer_of_another_shape_ends_within_seconds_until_a_page_has_come(patient: bool) -> None:  # noqa: FBT001
    endpoint = Endpoint()
    shape = UnknownShapeError("its keys: conversations, next", failure(200).response)
    with pytest.raises(APIError, match=r"^its keys: conversations, next$") as final:
        endpoint.ask(lambda: shape, patient=patient)
    assert type(final.value) is APIError
    assert len(endpoint.sent) == 3
    assert endpoint.time() - endpoint.sent[0] < 5
    assert endpoint.fails(shape, shape, patient=patient) is PAGE
    assert endpoint.fails(*[shape] * 5) is PAGE


@pytest.mark.parametrize("kind", ["401", "403"])
def test_a_key_is_refused_only_if_it_is_again_and_again(kind: str) -> None:
    endpoint = Endpoint()
    refusal = APIError("the API refuses the key", kind)
    with pytest.raises(APIError, match="refuses the key"):  # nothing has come yet
        endpoint.fails(refusal, refusal)
    assert endpoint.waits == pytest.approx([1], abs=0.01)
    assert endpoint.fails(refusal) is PAGE
    assert endpoint.fails(failure(), failure(), failure(), refusal, refusal) is PAGE
    with pytest.raises(APIError, match=r"^the API refuses the key$") as error:
        endpoint.fails(*[refusal] * 3)
    assert kind_of(error.value) == kind


def test_what_no_retry_changes_is_raised_at_once() -> None:
    endpoint = Endpoint()
    with pytest.raises(CursorRejectedError):
        endpoint.fails(CursorRejectedError("no", "400"))
    with pytest.raises(APIError, match=r"\(InvalidProxyURL\); check HTTPS_PROXY") as error:
        endpoint.fails(requests.exceptions.InvalidProxyURL())
    assert len(endpoint.sent) == 2
    assert kind_of(error.value) == "InvalidProxyURL"


def test_no_request_is_sent_when_all_is_over() -> None:
    endpoint = Endpoint()
    endpoint.time.when_waiting = endpoint.time.set
    with pytest.raises(StoppedError):
        endpoint.fails(failure())
    with pytest.raises(StoppedError):
        endpoint.fails()
    assert len(endpoint.sent) == 1


# --- What the log says ---


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_an_outage_is_said_when_it_begins_once_a_minute_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Endpoint(RetryPolicy(longest_wait=5, total=100_000))
    ends = endpoint.time() + 125

    def down() -> Exception | None:
        return failure() if endpoint.time() < ends else None

    def fails_with_others() -> Exception | None:
        if len(endpoint.sent) == 1:
            endpoint.ask(down, where="Another")
        return down()

    endpoint.ask(fails_with_others)
    begins, first_minute, second_minute, over = warned(caplog)
    said = re.fullmatch(r"Another: HTTP 503; retrying in 1\.0 s \(attempt 2\), until about (\S+ \S+) UTC", begins)
    assert said is not None
    assert 90_000 < (datetime.fromisoformat(f"{said[1]}Z") - datetime.now(UTC)).total_seconds() < 100_001
    assert all(line.startswith("Another: HTTP 503; retrying in 5.0 s") for line in (first_minute, second_minute))
    assert over == "Another: the API answers again, after 2 min"


def test_a_failure_that_comes_and_goes_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Endpoint()
    for _ in range(59):
        endpoint.fails(failure())
    assert len(warned(caplog)) == 2


@pytest.mark.parametrize(
    ("failures", "warnings"),
    [([failure(429)], 0), ([failure(429)] * 3, 0), ([failure(429)] * 8, 3), ([failure(429, Retry_After="30")], 2)],
)
def test_a_limit_that_is_over_within_seconds_is_no_warning(
    caplog: pytest.LogCaptureFixture, failures: list[Exception], warnings: int
) -> None:
    Endpoint().fails(*failures)
    assert len(warned(caplog)) == warnings
