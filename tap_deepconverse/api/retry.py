"""Sends a request until its response comes: transient errors are retried, at the rate of the endpoint's limiter."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from singer_sdk.exceptions import RetriableAPIError

from tap_deepconverse.api.errors import (
    APIError,
    CursorRejectedError,
    MayBeTooLargeError,
    MissingPagesError,
    UnknownShapeError,
    describe,
    is_transient,
    kind_of,
    may_be_page_size,
    retry_after,
)
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.api.redact import in_words

Result = TypeVar("Result")

FEW = 2  # retries of what is probably no outage, in some seconds
SECONDS_BETWEEN_WARNINGS = 60.0
QUIET_SECONDS = 10.0  # a request that is rate limited for a shorter time is no reason to warn


@dataclass(frozen=True)
class RetryPolicy:
    """How long to retry, in seconds. With the defaults, an outage of five minutes does not end a run.

    The waits double, up to `longest_wait`, unless `Retry-After` overrides them.
    """

    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 360.0  # from the first failure on; a request that begins after so long is sent once


@dataclass
class _Request:
    where: str
    is_patient: bool
    failures: int = 0
    few: int = 0  # failures that are retried only a few times
    failing_since: float = math.inf


class Retry:
    """Sends the requests of one endpoint. All share the limiter, the time that an outage may last, and the warnings."""

    def __init__(
        self,
        limiter: RateLimiter,
        logger: logging.Logger,
        policy: RetryPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._logger = logger
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._failing_since = math.inf  # the first failure of any request after the latest success
        self._warned_at = -math.inf
        self._is_warned = False

    def __call__(
        self, send: Callable[[], Result], stopped: threading.Event, *, where: str, patient: bool = True
    ) -> Result:
        """Return what `send` does; retry transient errors. For the first try, the caller has waited for the limiter.

        If the page may be too large, a request that is not `patient` raises `MayBeTooLargeError` after a few retries.
        """
        request = _Request(where, patient)
        while True:
            sent = self._clock()
            try:
                result = send()
            except (APIError, RetriableAPIError, OSError) as error:  # those of `requests` are OSErrors
                with self._lock:
                    wait = self._wait_after(error, request)
            else:
                self._limiter.took(self._clock() - sent)
                with self._lock:
                    self._succeeded(request)
                return result
            stopped.wait(wait)
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
        backoff = min(self._policy.first_wait * 2 ** (request.failures - 1), self._policy.longest_wait)
        wait = asked or min(backoff, left)
        if asked or is_limit:
            self._limiter.pause(wait)
        level = logging.DEBUG
        is_brief = is_limit and failed_for + wait < QUIET_SECONDS
        if not is_brief and now - self._warned_at >= SECONDS_BETWEEN_WARNINGS:
            level = logging.WARNING
            self._warned_at = now
            self._is_warned = True
        until = datetime.now(UTC) + timedelta(seconds=max(wait, left))
        goes_on = most > FEW or isinstance(final, MayBeTooLargeError)  # then with smaller pages
        ends = f", until about {until:%Y-%m-%d %H:%M:%S} UTC" if goes_on else ""
        what = f"{describe(error)}; retrying in {wait:.1f} s (attempt {request.failures + 1})"
        self._logger.log(level, "%s: %s%s", request.where, what, ends)
        return wait

    def _succeeded(self, request: _Request) -> None:
        if request.failures and self._is_warned:
            seconds = in_words(self._clock() - request.failing_since)
            self._logger.warning("%s: the API answers again, after %s", request.where, seconds)
            self._is_warned = False
        self._failing_since = math.inf

    def _verdict(self, error: Exception, request: _Request, failed_for: float) -> tuple[float, Exception]:
        """Return how often to retry errors of this sort, within the total, and the error to raise after that."""
        said = describe(error)
        kind = kind_of(error)
        is_first = self._limiter.last_success_at is None
        if kind in {"401", "403"}:  # the key may be fine: a firewall's hiccup
            return 1 if is_first else FEW, error
        if not is_transient(error):
            return 0, error if isinstance(error, APIError) else APIError(said, kind)
        if isinstance(error, UnknownShapeError) and is_first:
            return FEW, APIError(said, kind)
        if isinstance(error, MissingPagesError):  # perhaps the API returns only so many records a query
            return FEW, CursorRejectedError(said, kind)
        is_outage = request.failures == 1 and failed_for >= self._policy.total  # others have failed for so long
        if may_be_page_size(error) and not (request.is_patient or is_outage):
            return FEW, MayBeTooLargeError(f"{said}, repeatedly: the page may be too large", kind)
        tried = f"failed after {in_words(failed_for)} (attempt {request.failures})"
        return math.inf, APIError(f"{said}; {tried}; see https://deepconverse.statuspage.io", kind)
