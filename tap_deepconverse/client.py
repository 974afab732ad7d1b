"""One request and its answer: URL, key, parameters, retries, what an error means."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SyncError
from typing_extensions import override

from tap_deepconverse.pace import Pace
from tap_deepconverse.pagination import CursorPaginator, InvalidPageError, page_of
from tap_deepconverse.writer import TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from backoff.types import Details
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Auth, Context, RequestFunc

LONGEST_QUOTE = 200
"""Characters of the API's own words to repeat in an error."""

COMES_BY_ITSELF = "this should pass by itself, and the next run goes on from the last checkpoint"

LONGEST_RETRY_AFTER = 60.0
"""Seconds that the API may ask to wait; what it asks beyond is not waited for in one go."""


class ExportStream(RESTStream[str | None]):
    """An endpoint of the Export API.

    Facts about the API come from its public documentation (base URL, key, parameters, the fields
    ``data`` and ``cursor``, the limits). That 401 and 403 mean a wrong key, and that errors carry
    a ``message``, is inferred from its being served by a cloud API gateway.
    """

    allow_redirects = False  # requests would carry the key along to wherever a redirect points

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
        # One for each thread: `requests` does not promise that they can be shared.
        session: requests.Session | None = getattr(self._of_this_thread, "session", None)
        if session is None:
            session = self._of_this_thread.session = requests.Session()
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
            context: The partition's context and the window: `start_time` and `end_time` in Unix seconds.
            next_page_token: The cursor from the answer before, or None for the first page.

        Returns:
            The parameters that the API documents.
        """
        return {**(context or {}), "per_page": self.config["page_size"], "cursor": next_page_token}

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Tell a page from an error, and an error that may pass from one that will not.

        Args:
            response: Any answer.

        Raises:
            FatalAPIError: If asking again cannot help; the message says what to do.
            RetriableAPIError: If it may: too many requests, a server's error, a body that is no page.
        """
        status = response.status_code
        if status == HTTPStatus.OK:
            try:
                page_of(response)
            except InvalidPageError as error:
                msg = f"{error}; {COMES_BY_ITSELF}"
                raise RetriableAPIError(msg, response) from error
            return
        if response.is_redirect:
            host = urlsplit(response.headers["Location"]).hostname or "another path"
            msg = f"the API redirects to {host}, and the key is sent to `api_url` only; check `api_url`"
            raise FatalAPIError(msg)
        if status < HTTPStatus.BAD_REQUEST:
            msg = f"the API answers with HTTP {status}, which the tap does not know; check `api_url`"
            raise FatalAPIError(msg)
        said = f"HTTP {status}: {quote(response, self.config['api_key'])}"
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            msg = f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports"
            raise FatalAPIError(msg)
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            msg = f"the API does not accept the request ({said}); check this bot's name in `bot_names`, and `api_url`"
            raise FatalAPIError(msg)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            msg = f"the API did not answer as it should ({said}); {COMES_BY_ITSELF}"
            raise RetriableAPIError(msg, response)
        msg = f"the API refuses the request ({said}); check `api_url`"
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

        The trying again is the SDK's, less the second log line for each wait, which repeats the URL.

        Args:
            func: Sends the request.

        Returns:
            The same, paced and with patience.
        """
        stopped = self.stopped  # that of the bot being read, whose readers are done before another's begin

        def send_in_turn(*args: Any) -> requests.Response:
            self.pace.wait(stopped)
            began = time.monotonic()
            response = func(*args)
            self.pace.took(time.monotonic() - began)
            return response

        return backoff.on_exception(
            self.backoff_wait_generator,
            (RetriableAPIError, requests.RequestException),
            max_tries=self.backoff_max_tries,
            on_backoff=self.backoff_handler,
            jitter=self.backoff_jitter,
            logger=None,
        )(send_in_turn)

    @override
    def backoff_wait_generator(self) -> Generator[float, None, None]:
        """Wait as long as the API says, or else twice as long each time.

        Yields:
            Seconds to wait before the next try.
        """
        longer = backoff.expo(factor=2)
        next(longer)
        error: object = yield 0.0
        while True:
            error = yield min(retry_after(error), LONGEST_RETRY_AFTER) or next(longer)

    @override
    def backoff_handler(self, details: Details) -> None:
        response = getattr(details["exception"], "response", None)
        if response is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self.pace.hold(details["wait"])
        _, context = details["args"]  # those of the function that sends the request
        self.logger.warning(
            "Bot '%s', stream '%s': %s: waiting %.1f s before try %d",
            context["bot_name"],
            self.name,
            describe(details["exception"]),
            details["wait"],
            details["tries"] + 1,
        )

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


def describe(error: BaseException) -> str:
    """Say in a clause what went wrong with a request, and what to do about it.

    Args:
        error: What `requests` or the tap raised.

    Returns:
        The clause: no URL, no key, nothing of a record.
    """
    if isinstance(error, requests.Timeout):
        return "the API did not answer in time; if it is only slow, raise `request_timeout`"
    if isinstance(error, requests.RequestException):
        return f"no connection to the API ({type(error).__name__}); check the network and `api_url`"
    return str(error)


def quote(response: requests.Response, secret: str) -> str:
    """Repeat what the API says of an error, on one line and cut short.

    Only its `message`, or a text that is no JSON, is repeated: anything else may be a record.

    Args:
        response: An answer that is an error.
        secret: What must not be repeated.

    Returns:
        At most `LONGEST_QUOTE` characters, or the status's own name where the API says nothing.
    """
    try:
        body = response.json()
        text = body.get("message") if isinstance(body, dict) else None
    except ValueError:
        text = response.text
    line = " ".join(text.replace(secret, "***").split()) if isinstance(text, str) else ""
    return (line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line) or str(response.reason)


def retry_after(error: object) -> float:
    """Read how long the API asks to wait.

    Args:
        error: What a request raised.

    Returns:
        Seconds, or 0 where it does not say.
    """
    response = getattr(error, "response", None)
    seconds = "" if response is None else response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0
