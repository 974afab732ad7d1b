"""Sends a request until its response comes: transient errors are retried, at the rate of the endpoint's limiter."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from singer_sdk.exceptions import RetriableAPIError

from tap_deepconverse.api.errors import (
    GOES_ON,
    APIError,
    MayBeTooLargeError,
    OtherShapeError,
    StoppedError,
    describe,
    is_transient,
    kind_of,
    may_be_page_size,
    retry_after,
)
from tap_deepconverse.api.redact import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_deepconverse.api.rate_limit import RateLimiter

    Clock = Callable[[], float]

FEW = 2  # retries of what is probably no outage, in some seconds
SECONDS_BETWEEN_WARNINGS = 60.0
QUIET_SECONDS = 10.0  # a request that is rate limited for a shorter time is no reason to warn


@dataclass(frozen=True)
class RetryPolicy:
    """How long to retry, in seconds. With the defaults, an outage of five minutes does not end a run.

    The waits double, up to `longest_wait`, until the total is over. `Retry-After` overrides them.

    Attributes:
        total: From the end of the first attempt to the start of the last, or longer if `Retry-After` says so. A request
            that begins when nothing has come for so long is sent once.
        jitter: Largest random share added to a wait, so that the workers do not all retry at once.
    """

    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 360.0
    jitter: float = 0.25


@dataclass
class _Request:
    where: str
    is_patient: bool
    failures: int = 0
    few: int = 0  # failures that are retried only a few times
    failing_since: float = math.inf


class Retry:
    """Sends the requests of one endpoint. All share the limiter, the time that an outage may last, and the warnings.

    The logger gets one warning when requests begin to fail, one a minute while they do, and one when it is over.
    """

    def __init__(
        self, limiter: RateLimiter, logger: logging.Logger, policy: RetryPolicy, clock: Clock = time.monotonic
    ) -> None:
        self._limiter = limiter
        self._logger = logger
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._failing_since = math.inf  # the first failure of any request after the latest success
        self._logged_at: dict[int, float] = {}  # by level
        self._is_warned = False

    def __call__(
        self, send: Callable[[], requests.Response], stopped: threading.Event, *, where: str, patient: bool = True
    ) -> requests.Response:
        """Send a request, and retry transient errors. For the first attempt, the caller has waited for the limiter.

        Args:
            send: Sends the request once; raises if the response is an error.
            stopped: Set when the sync is over.
            where: The bot and the stream, for the log.
            patient: Whether to retry for the policy's total, or only a few times if the page may be too large.

        Raises:
            APIError: If a retry cannot help, or the policy allows no more attempts; MayBeTooLargeError, if a smaller
                page may work.
            StoppedError: If the sync is over.
        """
        request = _Request(where, patient)
        while True:
            sent = self._clock()
            try:
                response = send()
            except (APIError, RetriableAPIError, requests.RequestException) as error:
                with self._lock:
                    wait = self._wait_after(error, request)
            else:
                self._limiter.took(self._clock() - sent)
                with self._lock:
                    self._succeeded(request)
                return response
            if stopped.wait(wait):
                raise StoppedError
            self._limiter.wait(stopped)

    def _wait_after(self, error: Exception, request: _Request) -> float:
        """Return the seconds to wait until the next attempt; raise if there is none."""
        now = self._clock()
        if is_transient(error):
            self._failing_since = min(self._failing_since, now)
        request.failing_since = min(request.failing_since, self._failing_since, now)
        request.failures += 1
        failed_for = now - request.failing_since
        left = self._policy.total - failed_for
        most, final = self._verdict(error, request, failed_for)
        request.few += most <= FEW
        if left <= 0 or request.few > most:
            self._is_warned = False  # what has failed for good does not answer again
            raise final
        response = getattr(error, "response", None)
        asked = 0.0 if response is None else retry_after(response)
        is_limit = response is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        jitter = random.uniform(1, 1 + self._policy.jitter)  # noqa: S311
        backoff = min(self._policy.first_wait * 2 ** (request.failures - 1), self._policy.longest_wait)
        wait = asked * jitter or min(backoff * jitter, left)
        if asked or is_limit:
            self._limiter.pause(wait)
        level = logging.INFO if is_limit and failed_for + wait < QUIET_SECONDS else logging.WARNING
        if now - self._logged_at.get(level, -math.inf) < SECONDS_BETWEEN_WARNINGS:
            level = logging.DEBUG
        self._logged_at[level] = now
        self._is_warned |= level == logging.WARNING
        until = datetime.now(UTC) + timedelta(seconds=max(wait, left))
        goes_on = most > FEW or isinstance(final, MayBeTooLargeError)  # then with smaller pages
        ends = f", until about {until:%Y-%m-%d %H:%M:%S} UTC" if goes_on else ""
        what = f"{request.where}: {describe(error)}; retrying in {wait:.1f} s (attempt {request.failures + 1})"
        self._logger.log(level, "%s%s", what, ends)
        return wait

    def _verdict(self, error: Exception, request: _Request, failed_for: float) -> tuple[float, Exception]:
        """Return how often to retry errors of this sort, within the total, and the error to raise after that."""
        said, kind = describe(error), kind_of(error)
        is_first = self._limiter.last_success_at is None
        if not is_transient(error):
            is_hiccup = kind in {"401", "403"} and not is_first  # of a firewall: the key is fine
            return FEW * is_hiccup, error if isinstance(error, APIError) else APIError(said, kind)
        if isinstance(error, OtherShapeError) and is_first:
            return FEW, APIError(said, type(error).__name__)
        is_outage = request.failures == 1 and failed_for >= self._policy.total  # others have failed for so long
        if may_be_page_size(error) and not (request.is_patient or is_outage):
            return FEW, MayBeTooLargeError(f"{said}, repeatedly: the page may be too large", kind)
        tried = f"failed after {in_words(failed_for)} (attempt {request.failures})"
        return math.inf, APIError(f"{said}; {tried}; see https://deepconverse.statuspage.io; {GOES_ON}", kind)

    def _succeeded(self, request: _Request) -> None:
        """Log that it is over: at the first success of a request that failed before."""
        if request.failures and self._is_warned:
            seconds = in_words(self._clock() - request.failing_since)
            self._logger.warning("%s: the API answers again, after %s", request.where, seconds)
            self._is_warned = False
        self._failing_since = math.inf
