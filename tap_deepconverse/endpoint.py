"""The requests of a stream: from a window to its pages."""

from __future__ import annotations

import math
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import requests
from singer_sdk.exceptions import RetriableAPIError
from singer_sdk.pagination import BaseAPIPaginator
from singer_sdk.streams.rest import PageContext
from typing_extensions import override

from tap_deepconverse.api.errors import FutureEndError, describe
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.api.retry import Retry, RetryPolicy
from tap_deepconverse.api.session import Sessions
from tap_deepconverse.extract.fallback import EndlessPagesError, ExtractionError, FullPage
from tap_deepconverse.extract.window import moment_of
from tap_deepconverse.records.page import Page, page_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from singer_sdk import RESTStream

    from tap_deepconverse.extract.window import WindowRead

MOST_EMPTY_PAGES = 250
"""Pages without records in a row, each with a cursor, after which the window is taken to have no end."""


class CursorPaginator(BaseAPIPaginator[str | None]):
    """Follows the cursor of each page until there is none."""

    def __init__(self) -> None:
        super().__init__(None)
        self._cursors: set[str] = set()
        self._latest: list[Any] = []
        self._empty = 0

    @override
    def get_next(self, response: requests.Response) -> str | None:
        """Return the next page's cursor, None at the end; raise an error if the pages do not end."""
        page = page_of(response)
        self._empty = 0 if page.data else self._empty + 1
        is_same = bool(page.data) and page.data == self._latest
        self._latest = page.data
        if page.cursor is None:
            return None
        if page.cursor in self._cursors or is_same:
            what = "page" if is_same else "cursor"
            msg = f"the API returned the same {what} again, so the pages do not end (after {self.count} pages)"
            raise EndlessPagesError(msg)
        if self._empty >= MOST_EMPTY_PAGES:
            msg = f"the API returned {self._empty} pages in a row without records; report it to DeepConverse"
            raise ExtractionError(msg)
        self._cursors.add(page.cursor)
        return page.cursor


class Endpoint:
    """Sends the requests of a stream, and knows what they have shown of the API. See `extract.lane.Source`.

    Attributes:
        full_page: How many records a full page holds.
        latest_end: The largest `end_time` that the API takes, in Unix seconds; infinite until it refuses one.
        selects_by: The field that the API selects by, once a record has shown it.
        clock: Measures the progress, in seconds.
    """

    def __init__(self, stream: RESTStream[str | None], policy: RetryPolicy) -> None:
        self.stream = stream
        self.name = stream.name
        self.full_page = FullPage(stream.config["page_size"])
        self.latest_end = math.inf
        self.selects_by = ""
        self.clock: Callable[[], float] = time.monotonic
        self.limiter = RateLimiter(stream.config["requests_per_second"])
        self._retry = Retry(self.limiter, stream.logger, policy)

    @cached_property
    def sessions(self) -> Sessions:
        """A session for each window; all share their connections."""
        return Sessions(self.stream.url_base)

    @property
    def in_flight(self) -> float:
        """How many requests at once use the full rate limit."""
        most: int = self.stream.config["concurrency"]
        return min(self.limiter.in_flight, most)

    def wait(self, stopped: threading.Event) -> None:
        """Wait until the rate limiter allows a request."""
        self.limiter.wait(stopped)

    def pages(self, bot_name: str, read: WindowRead, stopped: threading.Event) -> Iterator[Page]:
        """Yield the pages of a window: each `next` requests one, for which the caller has waited for the limiter.

        Args:
            bot_name: The bot.
            read: The window, and how to read it.
            stopped: Set at the end of the run.

        Raises:
            FatalSyncError: If the window cannot be read so. Some of these errors have a fallback.
        """
        session = self.sessions.new()
        paginator = CursorPaginator()
        where = f"Bot '{bot_name}', stream '{self.name}'"
        is_patient = read.is_patient or read.page_size == 1
        records = 0
        while not paginator.finished:
            end = min(read.window.end, self.latest_end)
            if end <= read.window.start:
                yield Page([])
                return
            window = {"start_time": read.window.start_time, "end_time": end, "per_page": read.page_size}
            page: PageContext[str | None] = PageContext({"bot_name": bot_name, **window}, paginator.current_value)
            send = partial(self._fetch_whole, session, page, records)
            try:
                response = self._retry(send, stopped, where=where, patient=is_patient)
            except FutureEndError as error:
                self._end_earlier(error, end)
                self.limiter.wait(stopped)
                continue
            records += len(page_of(response).data)
            yield page_of(response)
            paginator.advance(response)

    def _end_earlier(self, error: FutureEndError, end: float) -> None:
        server_now = int(error.server_now.timestamp()) - 1
        if server_now >= end:
            raise error
        if math.isinf(self.latest_end):
            until = f"{moment_of(server_now):%Y-%m-%d %H:%M:%S} UTC"
            self.stream.logger.warning(
                "Stream '%s': %s; reading up to %s, by the server's clock", self.name, describe(error), until
            )
        self.latest_end = min(self.latest_end, server_now)

    def _fetch_whole(self, session: requests.Session, page: PageContext[str | None], before: int) -> requests.Response:
        """Send a request once; raise an error too if its page ends a window that holds more records by its `total`."""
        response = self.fetch(session, page)
        came = page_of(response)
        records = before + len(came.data)
        if came.cursor is None and came.total is not None and records < came.total:
            msg = f"the API says that there are {came.total} records, but returned {records} and no cursor"
            raise RetriableAPIError(msg, response)
        return response

    def fetch(self, session: requests.Session, page: PageContext[str | None]) -> requests.Response:
        """Send a request once; raise an error for a response that is not a page."""
        request = self.stream.get_http_request(page=page)
        # Not the stream's `build_prepared_request`: it takes the cookies of another session.
        prepared = session.prepare_request(
            requests.Request(request.method, request.url, request.headers, params=request.encode_params())
        )
        authenticated = self.stream.authenticator(prepared)
        response = session.send(authenticated, timeout=self.stream.config["request_timeout"])
        self.stream.validate_response(response)
        return response
