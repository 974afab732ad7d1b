"""Errors of a request: which are transient, and what a person can do about the others.

That 401 and 403 mean a wrong key, 400 and 404 a wrong name of a bot, and 413 too large a page, is inferred
from the API's being served by a cloud API gateway: its documentation names no errors.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.exceptions import ReadTimeoutError

from tap_deepconverse.api.redact import own_words, redirect_target
from tap_deepconverse.api.retry import LONGEST_RETRY_AFTER, in_words, retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.exceptions import SyncError

GOES_ON = "the next run goes on from the last checkpoint"


class EveryBotError(FatalAPIError):
    """What failed concerns all bots: the key, the host, a quota. Without it, an error is that of one bot."""


class PageTooLargeError(FatalAPIError):
    """The API cannot return a page of this size. A smaller one may work."""


class CursorRejectedError(FatalAPIError):
    """The API rejected a pagination cursor of its own."""


TRANSIENT = (
    RetriableAPIError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
MAY_BE_THE_BOT = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
CUT_SHORT = (requests.ReadTimeout, ReadTimeoutError, requests.exceptions.ChunkedEncodingError)
NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}
NO_PROXY_URL = "the proxy that the environment names has no URL that can be used; check HTTPS_PROXY and NO_PROXY"
NO_PROXY = "no connection through the proxy that the environment names; check HTTPS_PROXY and NO_PROXY"
NO_ANSWER = "no answer from the API in time; if it is only slow, raise `request_timeout`"

# The message for each kind of error: the first entry that matches any cause of the error counts.
CLAUSES: dict[type[BaseException], str] = {
    requests.exceptions.ProxyError: NO_PROXY,
    requests.exceptions.InvalidURL: NO_PROXY_URL,  # not `api_url`, which the settings have validated
    requests.exceptions.InvalidSchema: NO_PROXY_URL,
    requests.Timeout: NO_ANSWER,
    ReadTimeoutError: NO_ANSWER,
    socket.gaierror: "the name of the API's host cannot be resolved; check the network and `api_url`",
    ConnectionRefusedError: "the API's host refuses the connection; check the network and `api_url`",
    requests.exceptions.ContentDecodingError: "the answer cannot be decompressed",
    requests.exceptions.ChunkedEncodingError: "the answer was cut short",
    http.client.RemoteDisconnected: "the connection was closed without an answer",
    ConnectionResetError: "the connection was reset",
}


def is_transient(failure: object) -> bool:
    """Tell whether a retry may help, given the HTTP status of an error, or an exception."""
    if isinstance(failure, int):
        transient = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
        return failure in transient or failure >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(failure, TRANSIENT) and not any(map(_is_of_the_host, _causes(failure)))


def may_be_page_size(failure: BaseException) -> bool:
    """Tell whether a smaller page might work: the API was reached, but had too little time or memory."""
    response = getattr(failure, "response", None)
    if response is not None:
        return response.status_code not in {HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return any(isinstance(cause, CUT_SHORT) for cause in _causes(failure))


def raise_for_status(response: requests.Response, key: str) -> None:
    """Raise the error that a response stands for, unless its status is 200. No message holds the API key.

    Raises:
        FatalAPIError: If a retry cannot help. The message says what to do.
        EveryBotError: The same, for what concerns all bots.
        RetriableAPIError: If a retry may help.
        PageTooLargeError: If a smaller page may work.
        CursorRejectedError: If the window may be read again from its first page.
    """
    status = response.status_code
    if status >= HTTPStatus.BAD_REQUEST:
        raise error_in(response, key)
    if status != HTTPStatus.OK:
        msg = f"the API answers with HTTP {status}, which the tap does not know; check `api_url`"
        if response.is_redirect:
            target = redirect_target(response, key)
            msg = f"the API redirects to {target}, and the key is sent to `api_url` only; check `api_url`"
        raise EveryBotError(msg)


def error_in(response: requests.Response, key: str) -> SyncError:
    """Make the exception for a response with a status of 400 or more. Its message does not hold the API key."""
    status = response.status_code
    said = f"HTTP {status}: {own_words(response, key)}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return EveryBotError(f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return PageTooLargeError(f"the API cannot give so large a page ({said})")
    if is_transient(status):
        seconds = retry_after(response.headers)
        if seconds > LONGEST_RETRY_AFTER:
            return EveryBotError(
                f"the API asks to wait {in_words(seconds)} ({said}), as it may when a quota is used up; {GOES_ON}"
            )
        what = "rate limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "temporary error of the API"
        return RetriableAPIError(f"{what} ({said})", response)
    if "cursor" in parse_qs(urlsplit(response.url).query):
        return CursorRejectedError(f"the API rejected the pagination cursor, which may have expired ({said})")
    kind: type[FatalAPIError] = EveryBotError
    what = "`api_url`"
    if status in MAY_BE_THE_BOT:
        kind, what = FatalAPIError, "this bot's name in `bot_names`, and `api_url`"
    return kind(f"the API does not accept the request ({said}); check {what}")


def describe(error: BaseException) -> str:
    """Say in one clause what failed and what to do. It holds no URL, no key and nothing of a record."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the API's host is not valid here ({cause.verify_message}); check `api_url`, and "
                "if your network has certificates of its own, name their file in REQUESTS_CA_BUNDLE"
            )
        if isinstance(cause, ssl.SSLError) and _is_of_the_host(cause):
            return f"the API's host does not speak TLS as it should ({cause.reason}); check `api_url`"
        if clause := next((CLAUSES[kind] for kind in CLAUSES if isinstance(cause, kind)), None):
            return clause
    return f"no connection to the API ({type(error).__name__}); check the network and `api_url`"


def _is_of_the_host(cause: BaseException) -> bool:
    is_certificate = isinstance(cause, ssl.SSLCertVerificationError)
    return is_certificate or (isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
