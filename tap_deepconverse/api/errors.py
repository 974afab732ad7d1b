"""Errors of a request: which are transient, and what a person can do about the others.

The API's documentation names no errors. What a status means is inferred: the API looks like a cloud API gateway.
Whether an error is one bot's or everyone's is for the caller to decide, with the help of `kind_of`.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.exceptions import ReadTimeoutError

from tap_deepconverse.api.redact import in_words, is_of_firewall, own_words, redirect_target

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_RETRY_AFTER = 300.0  # seconds; a longer wait, such as for a used-up quota, is an error
GOES_ON = "the next run goes on from the last checkpoint"
TEMPORARY = "temporary"  # the kind of all transient errors: an outage shows as several of them


class APIError(FatalAPIError):
    """A request failed for good. `kind` is what went wrong, in a word, such as an HTTP status."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or type(self).__name__


class PageTooLargeError(APIError):
    """The API cannot return a page of this size. A smaller one may work."""


class MayBeTooLargeError(PageTooLargeError):
    """A page has failed repeatedly, perhaps because of its size. If a smaller one fails too, it was not the size."""


class CursorRejectedError(APIError):
    """The API rejected a pagination cursor of its own."""


class FutureEndError(APIError):
    """The API says that the window ends in the future. `server_now` is the time by its clock."""

    def __init__(self, message: str, server_now: datetime) -> None:
        super().__init__(message, "future")
        self.server_now = server_now


class StoppedError(FatalAPIError):
    """The sync is over, so no more requests may be sent."""


TRANSIENT_STATUSES = {408, 425, 429}  # and 5xx
BOT_STATUSES = {400, 404, 409, 410, 422}  # which may mean that there is no such bot
TRANSIENT = (
    RetriableAPIError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
CUT_SHORT = (requests.ReadTimeout, ReadTimeoutError, requests.exceptions.ChunkedEncodingError)
NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}

_CHECK = "check the network and `api_url`"
_CHECK_PROXY = "check HTTPS_PROXY and NO_PROXY"
_BAD_PROXY = f"the proxy that the environment names is not a valid URL; {_CHECK_PROXY}"
_NO_ANSWER = "no response from the API in time; if it is only slow, raise `request_timeout`"

# The clause for each kind of error: the first entry that matches any cause of the error counts.
_CLAUSES: dict[type[BaseException], str] = {
    requests.exceptions.ProxyError: f"no connection through the proxy that the environment names; {_CHECK_PROXY}",
    requests.exceptions.InvalidURL: _BAD_PROXY,  # not `api_url`, which the settings have validated
    requests.exceptions.InvalidSchema: _BAD_PROXY,
    requests.ConnectTimeout: f"no connection to the API's host in time; {_CHECK}",
    requests.Timeout: _NO_ANSWER,
    ReadTimeoutError: _NO_ANSWER,
    socket.gaierror: f"the name of the API's host cannot be resolved; {_CHECK}",
    ConnectionRefusedError: f"the API's host refuses the connection; {_CHECK}",
    requests.exceptions.ContentDecodingError: "the response cannot be decompressed",
    requests.exceptions.ChunkedEncodingError: "the response was cut short",
    http.client.RemoteDisconnected: "the connection was closed without a response",
    ConnectionResetError: "the connection was reset",
}

_SPAN = "(range|span|window|interval|period)"
_MOST = r"\b(exceed\w*|most|max\w*|limit\w*|within|(long|larg|bigg?|wid)(e|er)?|than|days|hours)\b"
_FUTURE = r"\b(future|ahead)\b"

# What to check, by the words in the API's own reason.
_CHECKS = {
    r"per_?page|page.?size|limit must": "`page_size`",
    _FUTURE: "this machine's clock",
    r"^(?!.*(billing|quota|plan\b)).*"
    rf"((time|date|query)[ _-]?{_SPAN}|{_SPAN}\b.*{_MOST}|{_MOST}.*({_SPAN}|days|hours)\b"
    r"|\b(start|end)[ _]?(time|date)\b|\b(from|to)[_-]?(time|date)\b)": (
        "`window_days`, the longest range of time to ask for at once, and `start_date`"
    ),
}


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may help."""
    return isinstance(error, TRANSIENT) and not _lasting(error)


def may_be_page_size(error: BaseException) -> bool:
    """Return whether a smaller page may work: the API was reached, but had too little time or memory."""
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code not in {HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return any(isinstance(cause, CUT_SHORT) for cause in _causes(error))


def kind_of(error: BaseException) -> str:
    """Return what went wrong, in a word: two errors of the same kind failed alike.

    It is "temporary" for transient errors, also once their retries are over; the HTTP status of other responses; else
    the name of the error's type.
    """
    return TEMPORARY if is_transient(error) else getattr(error, "kind", type(error).__name__)


def raise_for_status(response: requests.Response, key: str) -> None:
    """Raise the error for a response, unless its status is 200 or 204. No message holds the API key.

    Raises:
        RetriableAPIError: If a retry may help.
        APIError: If not. The message says what to do. Its subclasses say what else may help.
    """
    status = response.status_code
    if status >= HTTPStatus.BAD_REQUEST:
        raise _error_in(response, key)
    if response.is_redirect:
        target = redirect_target(response, key)
        msg = f"the API redirects to {target}, but the key is sent to `api_url` only; check `api_url`"
        raise APIError(msg, str(status))
    if status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        msg = f"the API returned an unexpected status (HTTP {status}); check `api_url`"
        raise APIError(msg, str(status))


def _error_in(response: requests.Response, key: str) -> RetriableAPIError | APIError:
    status = response.status_code
    reason = own_words(response, key)
    said = f"HTTP {status}: {reason}"
    is_by_firewall = is_of_firewall(response)
    error: type[APIError] = APIError
    if status in TRANSIENT_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        seconds = retry_after(response)
        if seconds <= LONGEST_RETRY_AFTER:
            is_limit = status == HTTPStatus.TOO_MANY_REQUESTS
            what = "rate limited" if is_limit else "the API returned a temporary error"
            by = ", from the firewall in front of the API" if is_by_firewall else ""
            return RetriableAPIError(f"{what} ({said}){by}", response)
        msg = f"the API asks to wait {in_words(seconds)} ({said}), perhaps because a quota is used up; {GOES_ON}"
    elif status == HTTPStatus.FORBIDDEN and is_by_firewall:
        msg = (
            f"the firewall in front of the API refuses the request ({said}), before the key is checked; check the "
            "network that the tap runs in, and ask DeepConverse to let its address through"
        )
    elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        msg = f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports"
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        error = PageTooLargeError
        msg = f"the page is too large for the API ({said})"
    else:
        msg = f"the API does not accept the request ({said}); check {_what_to_check(status, reason)}"
        now = _date_in(response, "Date")
        if now and re.search(_FUTURE, reason, re.IGNORECASE):
            return FutureEndError(msg, now)
        if "cursor" in parse_qs(urlsplit(response.url).query):
            error = CursorRejectedError
            msg = f"the API rejected the pagination cursor, which may have expired ({said})"
    return error(msg, str(status))


def _what_to_check(status: int, reason: str) -> str:
    if check := next((_CHECKS[words] for words in _CHECKS if re.search(words, reason, re.IGNORECASE)), None):
        return check
    return "this bot's name in `bot_names`, and `api_url`" if status in BOT_STATUSES else "`api_url`"


def describe(error: BaseException) -> str:
    """Return in one clause what failed and what to do. It holds no URL, no key and nothing of a record."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    clauses = (clause for cause in _causes(error) for kind, clause in _CLAUSES.items() if isinstance(cause, kind))
    return _lasting(error) or next(clauses, f"no connection to the API ({type(error).__name__}); {_CHECK}")


def _lasting(error: BaseException) -> str:
    """Return the clause for an error of the connection that a retry cannot change; empty for all others."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the API's host is not valid here ({cause.verify_message}); check `api_url`, and "
                "if your network has certificates of its own, name their file in REQUESTS_CA_BUNDLE"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS:
            return f"the TLS connection to the API's host failed ({cause.reason}); check `api_url`"
        if refusal := re.match(r"Tunnel connection failed: ([1-4]\d\d)\b", str(cause)):  # a 5xx may be over soon
            return f"the proxy that the environment names refuses the request (HTTP {refusal[1]}); {_CHECK_PROXY}"
        if isinstance(cause, requests.exceptions.InvalidSchema) and "SOCKS" in str(cause):
            return (
                "the environment names a SOCKS proxy, but the Python package PySocks is missing; install it beside "
                "the tap (pip install pysocks), or check HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            )
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def retry_after(response: requests.Response | None) -> float:
    """Return `Retry-After` (RFC 9110) in seconds, or 0. A date is compared with the server's clock, if it is known."""
    if response is None:
        return 0.0
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    moment = _date_in(response, "Retry-After")
    now = _date_in(response, "Date") or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds()) if moment else 0.0


def _date_in(response: requests.Response, header: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(response.headers.get(header, ""))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
