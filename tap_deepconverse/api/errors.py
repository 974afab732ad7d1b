"""Errors of a request: which are transient, and what a person can do about the others.

The API's documentation names no errors. What a status means is inferred: the API looks like a cloud API gateway. So
401 and 403 mean a wrong key, 400, 404, 409, 410 and 422 a wrong bot name, and 413 a page that is too large.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.exceptions import ReadTimeoutError

from tap_deepconverse.api import sentences
from tap_deepconverse.api.redact import is_of_firewall, own_words, redirect_target
from tap_deepconverse.api.retry import LONGEST_RETRY_AFTER, in_words, retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.exceptions import SyncError


class EveryBotError(FatalAPIError):
    """The error affects all bots: the key, the host, a quota. Any other error affects one bot."""


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

# The sentence for each kind of error: the first entry that matches any cause of the error counts.
CLAUSES: dict[type[BaseException], sentences.Sentence] = {
    requests.exceptions.ProxyError: sentences.NO_PROXY,
    requests.exceptions.InvalidURL: sentences.NO_PROXY_URL,  # not `api_url`, which the settings have validated
    requests.exceptions.InvalidSchema: sentences.NO_PROXY_URL,
    requests.Timeout: sentences.NO_ANSWER,
    ReadTimeoutError: sentences.NO_ANSWER,
    socket.gaierror: sentences.NO_HOST,
    ConnectionRefusedError: sentences.REFUSED_CONNECTION,
    requests.exceptions.ContentDecodingError: sentences.NOT_DECOMPRESSED,
    requests.exceptions.ChunkedEncodingError: sentences.CUT_SHORT,
    http.client.RemoteDisconnected: sentences.CLOSED,
    ConnectionResetError: sentences.RESET,
}

_SPAN = "(range|span|window|interval|period)"
_MOST = r"\b(exceed\w*|most|max\w*|limit\w*|within|(long|larg|bigg?|wid)(e|er)?|than|days|hours)\b"

# What to check, by the words in the API's own reason.
CHECKS = {
    re.compile(r"per_?page|page.?size|limit must", re.IGNORECASE): "`page_size`",
    re.compile(
        r"^(?!.*(billing|quota|plan\b)).*"
        rf"((time|date|query)[ _-]?{_SPAN}|{_SPAN}\b.*{_MOST}|{_MOST}.*({_SPAN}|days|hours)\b"
        r"|\b(start|end)[ _]?(time|date)\b|\b(from|to)[_-]?(time|date)\b)",
        re.IGNORECASE,
    ): ("`window_days`, the longest range of time to ask for at once, and `start_date`"),
}


def is_transient(failure: object) -> bool:
    """Return whether a retry may help, for the HTTP status of an error or an exception."""
    if isinstance(failure, int):
        transient = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
        return failure in transient or failure >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(failure, TRANSIENT) and not any(map(_is_of_the_host, _causes(failure)))


def may_be_page_size(failure: BaseException) -> bool:
    """Return whether a smaller page may work: the API was reached, but had too little time or memory."""
    response = getattr(failure, "response", None)
    if response is not None:
        return response.status_code not in {HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return any(isinstance(cause, CUT_SHORT) for cause in _causes(failure))


def raise_for_status(response: requests.Response, key: str) -> None:
    """Raise the error for a response, unless its status is 200. No message holds the API key.

    Raises:
        FatalAPIError: If a retry cannot help. The message says what to do.
        EveryBotError: The same, if it affects all bots.
        RetriableAPIError: If a retry may help.
        PageTooLargeError: If a smaller page may work.
        CursorRejectedError: If the window may be read again from its first page.
    """
    status = response.status_code
    if status >= HTTPStatus.BAD_REQUEST:
        raise error_in(response, key)
    if status != HTTPStatus.OK:
        msg = sentences.UNKNOWN_STATUS(status=status)
        if response.is_redirect:
            msg = sentences.REDIRECTED(target=redirect_target(response, key))
        raise EveryBotError(msg)


def error_in(response: requests.Response, key: str) -> SyncError:
    """Return the exception for a response with status 400 or more. Its message does not hold the API key."""
    status = response.status_code
    reason, is_by_firewall = own_words(response, key), is_of_firewall(response)
    said = f"HTTP {status}: {reason}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        is_about_key = status == HTTPStatus.UNAUTHORIZED or not is_by_firewall
        return EveryBotError((sentences.KEY_REFUSED if is_about_key else sentences.FIREWALL_REFUSES)(said=said))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return PageTooLargeError(sentences.PAGE_TOO_LARGE(said=said))
    if is_transient(status):
        seconds = retry_after(response.headers)
        if seconds > LONGEST_RETRY_AFTER:
            return EveryBotError(sentences.MUST_WAIT(wait=in_words(seconds), said=said))
        what = sentences.RATE_LIMITED if status == HTTPStatus.TOO_MANY_REQUESTS else sentences.TEMPORARY
        return RetriableAPIError(what(said=said, by=sentences.BY_FIREWALL() if is_by_firewall else ""), response)
    if "cursor" in parse_qs(urlsplit(response.url).query):
        return CursorRejectedError(sentences.CURSOR_REJECTED(said=said))
    kind = FatalAPIError if status in MAY_BE_THE_BOT else EveryBotError
    return kind(sentences.REQUEST_REFUSED(said=said, what=_what_to_check(status, reason)))


def _what_to_check(status: int, reason: str) -> str:
    if check := next((CHECKS[speaks_of] for speaks_of in CHECKS if speaks_of.search(reason)), None):
        return check
    return "this bot's name in `bot_names`, and `api_url`" if status in MAY_BE_THE_BOT else "`api_url`"


def describe(error: BaseException) -> str:
    """Return in one clause what failed and what to do. It holds no URL, no key and nothing of a record."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return sentences.CERTIFICATE(reason=cause.verify_message)
        if isinstance(cause, ssl.SSLError) and _is_of_the_host(cause):
            return sentences.NO_TLS(reason=cause.reason)
        if isinstance(cause, requests.exceptions.InvalidSchema) and "SOCKS" in str(cause):
            return sentences.NO_SOCKS()
        if sentence := next((CLAUSES[kind] for kind in CLAUSES if isinstance(cause, kind)), None):
            return sentence()
    return sentences.NO_CONNECTION(error=type(error).__name__)


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
