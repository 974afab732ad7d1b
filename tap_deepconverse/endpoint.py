"""The requests of a stream: from a window to its pages."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import requests
from singer_sdk import RESTStream
from singer_sdk.streams.rest import PageContext

from tap_deepconverse.api.errors import (
    CursorRejectedError,
    FutureEndError,
    InvalidPageError,
    MayBeTooLargeError,
    RefusedError,
    describe,
    raise_for_status,
)
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.api.redact import name_of, own_words
from tap_deepconverse.api.retry import Retry, RetryPolicy
from tap_deepconverse.api.session import Sessions
from tap_deepconverse.extract.fallback import ExtractionError, FullPage, OddPagesError
from tap_deepconverse.extract.window import Reading, moment_of
from tap_deepconverse.records.page import Page, parse_page

MOST_EMPTY_PAGES = 250  # in a row, each with a cursor; then the window is taken to have no end


class Endpoint:
    """Sends the requests of a stream, and knows what they have shown of the API. See `extract.lane.Source`."""

    def __init__(self, stream: RESTStream[str | None], policy: RetryPolicy) -> None:
        self.stream = stream
        self.name = stream.name
        self.full_page = FullPage(stream.config["page_size"])
        self.latest_end = math.inf  # the largest `end_time` that the API takes, once it has refused one
        self.selects_by = ""  # the field that the API selects by, once a record has shown it
        self.clock: Callable[[], float] = time.monotonic
        self.sessions = Sessions(stream.url_base)
        self._limiter = RateLimiter(stream.config["requests_per_second"])
        self._retry = Retry(self._limiter, stream.logger, policy)
        self.wait = self._limiter.wait

    @property
    def in_flight(self) -> float:
        """How many requests at once use the full rate limit."""
        most: int = self.stream.config["concurrency"]
        return min(self._limiter.in_flight, most)

    def pages(self, bot_name: str, reading: Reading, stopped: threading.Event) -> Iterator[Page]:
        """Yield the pages of a window: each `next` requests one, for which the caller has waited for the limiter."""
        session = self.sessions.new()
        where = name_of(bot_name, self.name)
        is_patient = reading.is_patient or reading.page_size == 1
        start = max(0, reading.window.start - 1)  # see `Window`
        seen: set[str | None] = {None}
        cursor: str | None = None
        latest: list[Any] = []
        empty = 0
        while (end := min(reading.window.end, self.latest_end)) > reading.window.start:
            parameters = {"bot_name": bot_name, "start_time": start, "end_time": end, "per_page": reading.page_size}
            request = PageContext[str | None](parameters, cursor)
            send = partial(self._send, session, request, end, sum(reading.sizes))
            try:
                page = self._retry(send, stopped, where=where, patient=is_patient)
            except (MayBeTooLargeError, RefusedError) as error:
                if cursor is None:
                    raise
                raise CursorRejectedError(str(error), error.kind) from error  # perhaps it has expired
            except FutureEndError as error:
                self._end_earlier(error, end)
                self.wait(stopped)
                continue
            yield page
            cursor = page.cursor
            if cursor is None:
                return
            is_same = bool(page.data) and page.data == latest
            if cursor in seen or is_same:
                what = "page" if is_same else "cursor"
                msg = f"the API returned the same {what} again, so the pages do not end (after {len(seen)} pages)"
                raise OddPagesError(msg)
            empty = 0 if page.data else empty + 1
            if empty >= MOST_EMPTY_PAGES:
                msg = f"the API returned {empty} pages in a row without records; report it to DeepConverse"
                raise ExtractionError(msg)
            latest = page.data
            seen.add(cursor)
        yield Page([])  # by the server's clock, nothing of the window has passed

    def _end_earlier(self, error: FutureEndError, end: float) -> None:
        server_now = int(error.server_now.timestamp()) - 1
        if server_now >= end:
            raise error
        if math.isinf(self.latest_end):
            until = f"reading up to {moment_of(server_now):%Y-%m-%d %H:%M:%S} UTC, by the server's clock"
            self.stream.logger.warning("Stream '%s': %s; %s", self.name, describe(error), until)
        self.latest_end = min(self.latest_end, server_now)

    def _send(self, session: requests.Session, page: PageContext[str | None], end: float, before: int) -> Page:
        """Send a request once; raise an error for a response that is not a page, or not all that its `total` says."""
        request = self.stream.get_http_request(page=page)
        # Not the stream's `build_prepared_request`: it takes the cookies of another session. Without `auth`, `requests`
        # would add what a file .netrc has for the host.
        prepared = session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers={"User-Agent": self.stream.user_agent, **request.headers},
                params=request.encode_params(),
                auth=self.stream.authenticator,
            )
        )
        response = session.send(prepared, timeout=self.stream.config["request_timeout"])
        key = self.stream.config["api_key"]
        raise_for_status(response, key, end, has_cursor=page.next_page_token is not None)
        try:
            came = parse_page(response.content, response.status_code)
            came.check_total(before + len(came.data))
        except InvalidPageError as error:
            msg = f"{error} (HTTP {response.status_code}: {own_words(response, key)})"
            raise type(error)(msg, response) from error
        return came
