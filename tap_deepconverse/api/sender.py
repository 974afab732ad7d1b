"""Sends the requests of a window at the rate of the limiter, and retries transient errors."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SyncError

from tap_deepconverse.api.errors import EveryBotError, PageTooLargeError, describe, is_transient, may_be_page_size
from tap_deepconverse.api.rate_limit import RateLimiter, StoppedError
from tap_deepconverse.api.retry import PageSizeDoubt, RetryPolicy, in_words, retry_after
from tap_deepconverse.api.sentences import RETRIES_OVER, SEE_STATUS_PAGE, SMALL_PAGE_COMES

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from tap_deepconverse.api.outage import Outage

    Context = Mapping[str, Any] | None
    Send = Callable[[requests.PreparedRequest, Context], requests.Response]

LATELY = 60.0
"""Seconds for which a response proves that the API is up."""


@dataclass(eq=False)
class Sender:
    """Sends the requests of one window.

    Attributes:
        send: Sends a request once; raises if the response is an error.
        small_page: Returns the request for the smallest page of the same window.
        elsewhere: Returns the contexts of other requests. They still succeed unless the API is down for all bots.
        where: Returns the names of bot and stream, and of the window, for messages.
        stopped: Set when the sync is over.
        outage: Logs the failures of all windows together.
    """

    send: Send
    small_page: Callable[[Context], requests.PreparedRequest]
    elsewhere: Callable[[Context], Iterable[Context]]
    where: Callable[[Context], tuple[str, str]]
    limiter: RateLimiter
    policy: RetryPolicy
    stopped: threading.Event
    outage: Outage
    _doubt: PageSizeDoubt = field(default_factory=PageSizeDoubt)

    def __call__(self, request: requests.PreparedRequest, context: Context) -> requests.Response:
        """Send a request and retry transient errors. The caller has waited for the limiter for the first attempt.

        Raises:
            FatalAPIError: If a retry cannot help, or the retry policy allows no more attempts. It is an
                `EveryBotError` if no other request succeeds either.
            PageTooLargeError: If a smaller page may work.
            StoppedError: If the sync is over.
        """
        has_come = False
        try:
            response = self._send_until_it_comes(request, context)
            has_come = True
        finally:
            self.outage.is_over(self, self.where(context)[0], has_come=has_come)
        return response

    def _send_until_it_comes(self, request: requests.PreparedRequest, context: Context) -> requests.Response:
        waits = self.policy.waits()
        next(waits)
        began, failing_since = time.monotonic(), math.inf
        for tries in count(1):
            sent = time.monotonic()
            try:
                response = self.send(request, context)
            except (RetriableAPIError, requests.RequestException) as error:
                failing_since = min(failing_since, time.monotonic())
                self._fail_if_too_large(error)
                said, (name, window) = describe(error), self.where(context)
                if not is_transient(error):
                    raise EveryBotError(said) from error
                try:
                    wait = waits.send(error)
                except StopIteration:
                    elapsed = in_words(time.monotonic() - began)
                    see = SEE_STATUS_PAGE() if _status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
                    msg = RETRIES_OVER(said=said, window=window, tries=tries, elapsed=elapsed, see=see)
                    lately = max(failing_since, time.monotonic() - LATELY)
                    is_of_this_bot = self.limiter.latest_to_come > lately or self._comes_elsewhere(context)
                    raise (FatalAPIError if is_of_this_bot else EveryBotError)(msg) from error
                self._pause_all_if_asked(error, wait)
                what = f"{name}: {said}, in {window}; retrying in {wait:.1f} s (attempt {tries + 1})"
                kind = _status_of(error) or type(error)
                self.outage.goes_on(self, kind, what, wait=wait, total=self.policy.total)
                if self.stopped.wait(wait):
                    raise StoppedError from None
                self._ask_for_small_page_if_in_doubt(context)
                self.limiter.wait(self.stopped)
            else:
                self._doubt = PageSizeDoubt()
                self.limiter.took(time.monotonic() - sent)
                return response
        raise AssertionError  # counting has no end

    def _comes_elsewhere(self, context: Context) -> bool:
        """Return whether other requests succeed. With few workers or bots, none may have been sent lately."""
        # A response that is not a page does not prove that the API is up.
        return any(self._small_page_comes(other) for other in self.elsewhere(context))

    def _small_page_comes(self, context: Context) -> bool:
        self.limiter.wait(self.stopped)
        with suppress(SyncError, requests.RequestException):
            self.send(self.small_page(context), context)
            return True
        return False

    def _fail_if_too_large(self, error: Exception) -> None:
        if may_be_page_size(error):
            self._doubt.failures += 1
        if self._doubt.is_page_too_large:
            raise PageTooLargeError(SMALL_PAGE_COMES(said=describe(error))) from error

    def _pause_all_if_asked(self, error: Exception, wait: float) -> None:
        response = getattr(error, "response", None)
        if response is not None and (
            response.status_code == HTTPStatus.TOO_MANY_REQUESTS or retry_after(response.headers)
        ):
            self.limiter.pause(wait)

    def _ask_for_small_page_if_in_doubt(self, context: Context) -> None:
        if self._doubt.calls_for_small_page and (context or {})["per_page"] > 1:
            # A small page that fails proves nothing about the large one.
            self._doubt.small_page_came = self._small_page_comes(context)


def _status_of(error: Exception) -> int:
    response = getattr(error, "response", None)
    return 0 if response is None else response.status_code
