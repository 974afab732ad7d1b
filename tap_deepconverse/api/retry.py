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
    TEMPORARY,
    APIError,
    MayBeTooLargeError,
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

FAILURES_OF_SIZE = 3  # of a request after which its page may be too large
TRIES_OF_REFUSED = 3  # again, after 401 or 403 from an endpoint that accepted the key before: a firewall's hiccup
SECONDS_BETWEEN_WARNINGS = 60.0
QUIET_SECONDS = 10.0  # a request that is rate limited for a shorter time is no reason to warn


@dataclass(frozen=True)
class RetryPolicy:
    """How long to retry, in seconds. With the defaults, an outage of five minutes does not end a run.

    The waits double, up to `longest_wait`, until the total is over. `Retry-After` overrides them.

    Attributes:
        total: From the first failure to the start of the last attempt, or longer if `Retry-After` says so. An attempt
            that has begun is not cut short: without responses, an outage lasts longer by two read timeouts at most.
        jitter: Largest random share added to a wait, so that the workers do not all retry at once.
    """

    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 360.0
    jitter: float = 0.25


@dataclass
class _Request:
    """A request that is sent until its response comes."""

    where: str
    is_patient: bool
    wait: float
    tries: int = 0
    refusals: int = 0
    failures_of_size: int = 0
    failing_since: float = math.inf


class Retry:
    """Sends the requests of one endpoint. All share the limiter, the time that an outage may last, and the warnings.

    Args:
        limiter: The endpoint's rate limiter. Each attempt after the first waits for it.
        logger: Gets one warning when requests begin to fail, one a minute while they do, and one when it is over.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        logger: logging.Logger,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._logger = logger
        self._policy = policy or RetryPolicy()
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
            where: The bot, the stream and the window, for the log.
            patient: Whether to retry for the policy's total, or only a few times if the page may be too large.

        Returns:
            The response.

        Raises:
            APIError: If a retry cannot help, or the policy allows no more attempts.
            MayBeTooLargeError: If a smaller page may work.
            StoppedError: If the sync is over.
        """
        request = _Request(where, patient, self._policy.first_wait)
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
        request.tries += 1
        request.failing_since = min(request.failing_since, now)
        if is_transient(error):
            self._failing_since = min(self._failing_since, now)
        failed_for = now - min(request.failing_since, self._failing_since)
        if final := self._final_error(error, request, failed_for):
            self._is_warned = False  # what has failed for good does not answer again
            raise final from (None if final is error else error)
        response = getattr(error, "response", None)
        left = self._policy.total - failed_for
        asked = retry_after(response)
        wait = (asked or min(request.wait, left)) * random.uniform(1, 1 + self._policy.jitter)  # noqa: S311
        request.wait = min(2 * request.wait, self._policy.longest_wait)
        is_limit = response is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        if asked or is_limit:
            self._limiter.pause(wait)
        what = f"{request.where}: {describe(error)}; retrying in {wait:.1f} s (attempt {request.tries + 1})"
        level = logging.INFO if is_limit and failed_for + wait < QUIET_SECONDS else logging.WARNING
        if now - self._logged_at.get(level, -math.inf) < SECONDS_BETWEEN_WARNINGS:
            level = logging.DEBUG
        self._logged_at[level] = now
        self._is_warned |= level == logging.WARNING
        until = datetime.now(UTC) + timedelta(seconds=max(wait, left))
        self._logger.log(level, "%s, until about %s UTC", what, f"{until:%Y-%m-%d %H:%M:%S}")
        return wait

    def _final_error(self, error: Exception, request: _Request, failed_for: float) -> Exception | None:
        """Return the error that ends the request, or None if it is sent again."""
        is_over = failed_for >= self._policy.total
        if not is_transient(error):
            request.refusals += 1
            was_accepted = kind_of(error) in {"401", "403"} and self._limiter.last_success_at is not None
            if was_accepted and request.refusals <= TRIES_OF_REFUSED and not is_over:
                return None
            return error if isinstance(error, APIError) else APIError(describe(error), kind_of(error))
        if may_be_page_size(error) and not request.is_patient:
            request.failures_of_size += 1
            if is_over or request.failures_of_size >= FAILURES_OF_SIZE:
                return MayBeTooLargeError(f"{describe(error)}, repeatedly: the page may be too large", TEMPORARY)
        if not is_over:
            return None
        response = getattr(error, "response", None)
        see = "" if response is None or response.ok else "; see https://deepconverse.statuspage.io"
        tries = "1 try" if request.tries == 1 else f"{request.tries} tries"
        ending = f"failed after {tries} in {in_words(failed_for)}; {GOES_ON}"
        return APIError(f"{describe(error)}{see}; {ending}", TEMPORARY)

    def _succeeded(self, request: _Request) -> None:
        """Log that it is over: at the first success of a request that failed before."""
        if request.tries and self._is_warned:
            seconds = in_words(self._clock() - min(request.failing_since, self._failing_since))
            self._logger.warning("%s: the API answers again, after %s", request.where, seconds)
            self._is_warned = False
        self._failing_since = math.inf
