"""One request and its answer: URL, key, parameters, when it is tried again, what an error means."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SyncError
from singer_sdk.streams.rest import PageContext
from typing_extensions import override

from tap_deepconverse.failures import CursorRefusedError, PageTooLargeError, describe, may_be_of_the_page, may_pass
from tap_deepconverse.pace import Pace
from tap_deepconverse.pagination import CursorPaginator, InvalidPageError, page_of
from tap_deepconverse.progress import in_words
from tap_deepconverse.quoting import own_words, redirect_target
from tap_deepconverse.retries import PageDoubt, Patience, asked_to_wait
from tap_deepconverse.session import new_session
from tap_deepconverse.windows import Window
from tap_deepconverse.writer import TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from backoff.types import Details
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Auth, Context, RequestFunc

GOES_ON = "the next run goes on from the last checkpoint"

LONGEST_WAIT_ASKED_FOR = 300.0
"""Seconds that the API may ask to wait within a run. What is longer, such as for a used-up quota, ends it."""


class ExportStream(RESTStream[str | None]):
    """An endpoint of the Export API.

    Facts about the API come from its public documentation (base URL, key, parameters, the fields
    ``data`` and ``cursor``, the limits). That 401 and 403 mean a wrong key, and that errors carry
    a ``message``, is inferred from its being served by a cloud API gateway.
    """

    allow_redirects = False  # requests would carry the key along to wherever a redirect points

    patience = Patience()
    """How long a request is tried again."""

    @override
    def __init__(self, tap: Tap) -> None:
        """Initialize the stream.

        Args:
            tap: The tap.
        """
        super().__init__(tap)
        self.stopped = threading.Event()
        self._of_this_thread = threading.local()

    @cached_property
    def pace(self) -> Pace:
        """How fast this endpoint is asked."""
        return Pace(self.config["requests_per_second"])

    @property
    @override
    def requests_session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_this_thread, "session", None)
        if session is None:
            session = self._of_this_thread.session = new_session(self.url_base)
        return session

    @property
    @override
    def url_base(self) -> str:
        return f"{self.config['api_url'].rstrip('/')}/conversations/export/v1"

    @property
    @override
    def authenticator(self) -> Auth:
        return APIKeyAuthenticator(key="x-api-key", value=self.config["api_key"])

    @property
    @override
    def timeout(self) -> int:
        return int(self.config["request_timeout"])

    @override
    def get_new_paginator(self) -> CursorPaginator:
        return CursorPaginator()

    @override
    def get_url_params(self, context: Context | None, next_page_token: str | None) -> dict[str, Any]:
        """Build a request's parameters.

        Args:
            context: What to ask for: `bot_name`, `start_time` and `end_time` in Unix seconds, and `per_page`.
            next_page_token: The cursor from the answer before, or None for the first page.

        Returns:
            The parameters that the API documents.
        """
        return {**(context or {}), "cursor": next_page_token}

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Tell a page from an error, and an error that may pass from one that will not.

        Args:
            response: Any answer.

        Raises:
            FatalAPIError: If asking again cannot help; the message says what to do.
            RetriableAPIError: If it may: too many requests, a server's error, a body that is no page.
            PageTooLargeError: If a smaller page may be had.
            CursorRefusedError: If the window may be read from its beginning.
        """
        status = response.status_code
        key = self.config["api_key"]
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(response, key)
        if status == HTTPStatus.OK:
            try:
                page_of(response)
            except InvalidPageError as error:
                msg = f"{error} (HTTP 200: {own_words(response, key)})"
                raise RetriableAPIError(msg, response) from error
        elif response.is_redirect:
            target = redirect_target(response, key)
            msg = f"the API redirects to {target}, and the key is sent to `api_url` only; check `api_url`"
            raise FatalAPIError(msg)
        else:
            msg = f"the API answers with HTTP {status}, which the tap does not know; check `api_url`"
            raise FatalAPIError(msg)

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message of the SDK's.

        Args:
            message: What to log.
            args: What to fill in.
            level: How grave it is.
            kwargs: What else a logger takes.
        """
        # The SDK says this of whatever ends a sync, be it explained or even wanted (`--test`).
        if not message.startswith("An unhandled error occurred"):
            super().log(message, *args, level=level, **kwargs)

    @override
    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Send a request in its turn, and try again when what went wrong may pass.

        The trying again is the SDK's, less the second log line for each wait, which repeats the URL,
        and with patience instead of a number of tries.

        Args:
            func: Sends the request.

        Returns:
            The same, paced and with patience.
        """
        stopped = self.stopped  # that of the bot being read, whose readers are done before another's begin
        doubt = PageDoubt()

        def send_in_turn(request: requests.PreparedRequest, context: Context | None) -> requests.Response:
            context = context or {}
            if doubt.calls_for_small_page and context["per_page"] > 1:
                self.pace.wait(stopped)
                # That the small page does not come says nothing of the other.
                with suppress(SyncError, requests.RequestException):
                    func(self._request_for_small_page(context), context)
                    doubt.small_page_came()
            self.pace.wait(stopped)
            began = time.monotonic()
            try:
                response = func(request, context)
            except (RetriableAPIError, requests.RequestException) as error:
                if may_be_of_the_page(error):
                    doubt.failed()
                if doubt.is_of_the_page:
                    msg = f"{describe(error)}, again and again, while a small page comes"
                    raise PageTooLargeError(msg) from error
                raise
            doubt.came_through()
            self.pace.took(time.monotonic() - began)
            return response

        return backoff.on_exception(
            self.backoff_wait_generator,
            (RetriableAPIError, requests.RequestException),
            giveup=lambda error: not may_pass(error),
            on_giveup=self._give_up,
            on_backoff=self.backoff_handler,
            jitter=self.backoff_jitter,
            logger=None,
        )(send_in_turn)

    def _request_for_small_page(self, context: Context) -> requests.PreparedRequest:
        """Ask for the first record of the window's first second: less can't be asked for."""
        small = {**context, "end_time": context["start_time"] + 1, "per_page": 1}
        request = self.get_http_request(page=PageContext(small, None))
        return self.build_prepared_request(
            method=request.method, url=request.url, params=request.encode_params(), headers=request.headers
        )

    @override
    def backoff_wait_generator(self) -> Generator[float, Any, None]:
        """Wait as long as the API says, or else twice as long each time, until patience ends.

        Returns:
            Gives the seconds to wait before the next try.
        """
        return self.patience.waits()

    @override
    def backoff_jitter(self, value: float) -> float:
        """Wait a little longer each time, so that the readers do not all come back at once.

        Args:
            value: Seconds to wait at least.

        Returns:
            Up to a quarter more.
        """
        return value * random.uniform(1, 1.25)  # noqa: S311

    @override
    def backoff_handler(self, details: Details) -> None:
        error = details["exception"]
        response = getattr(error, "response", None)
        if response is not None and (
            response.status_code == HTTPStatus.TOO_MANY_REQUESTS or asked_to_wait(response.headers)
        ):
            self.pace.hold(details["wait"])
        _, context = details["args"]
        self.logger.warning(
            "Bot '%s', stream '%s': %s, in %s: waiting %.1f s before try %d",
            context["bot_name"],
            self.name,
            describe(error),
            window_of(context),
            details["wait"],
            details["tries"] + 1,
        )

    def _give_up(self, details: Details) -> None:
        error = details["exception"]
        msg = describe(error)
        if may_pass(error):
            tries, elapsed = details["tries"], in_words(details["elapsed"])
            _, context = details["args"]
            msg += f", in {window_of(context)}; given up after {tries} tries in {elapsed}; {GOES_ON}"
        raise FatalAPIError(msg) from error

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        """Read an answer as one page, which is what `request_records` then gives: a page for each answer.

        Args:
            response: A successful answer.

        Returns:
            The page, and nothing else.
        """
        return [page_of(response)]

    @contextmanager
    def explained(self, bot_name: str) -> Iterator[None]:
        """Turn what ends a bot's extraction into one sentence that names the bot and the stream.

        Args:
            bot_name: The bot.

        Yields:
            Nothing.

        Raises:
            FatalAPIError: In place of what `requests` or the tap raised.
        """
        try:
            yield
        except TargetGoneError:
            raise
        except (SyncError, requests.RequestException) as error:
            msg = f"Bot '{bot_name}', stream '{self.name}': {describe(error)}."
            raise FatalAPIError(msg) from error


def window_of(context: Context) -> Window:
    """Name the window that was asked for.

    Args:
        context: That of a request.

    Returns:
        The window.
    """
    return Window(context["start_time"], context["end_time"])


def refusal(response: requests.Response, key: str) -> SyncError:
    """Say what an answer means that is an error.

    That 401 and 403 mean a wrong key, 400 and 404 a wrong name of a bot, and 413 too large a page, is
    inferred.

    Args:
        response: An answer with a status from 400 on.
        key: The key, which is not to be repeated.

    Returns:
        What to raise.
    """
    status = response.status_code
    said = f"HTTP {status}: {own_words(response, key)}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return FatalAPIError(f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return PageTooLargeError(f"the API cannot give so large a page ({said})")
    if may_pass(status):
        seconds = asked_to_wait(response.headers)
        if seconds <= LONGEST_WAIT_ASKED_FOR:
            return RetriableAPIError(f"the API did not answer as it should ({said})", response)
        return FatalAPIError(
            f"the API asks to wait {in_words(seconds)} ({said}), as it may when a quota is used up; {GOES_ON}"
        )
    if "cursor" in parse_qs(urlsplit(response.url).query):
        return CursorRefusedError(f"the API does not accept its own cursor any more ({said})")
    may_be_the_name = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
    what_to_check = "this bot's name in `bot_names`, and `api_url`" if may_be_the_name else "`api_url`"
    return FatalAPIError(f"the API does not accept the request ({said}); check {what_to_check}")
