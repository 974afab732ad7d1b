"""What went wrong with a request: whether it may pass, and how to say so to whoever has to mend it."""

from __future__ import annotations

import http.client
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator


class PageTooLargeError(FatalAPIError):
    """The API cannot give a page, but may give smaller ones."""


class CursorRefusedError(FatalAPIError):
    """The API does not accept a cursor any more that it has given."""


MAY_PASS = (
    RetriableAPIError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)

OF_THE_ANSWER = (requests.ReadTimeout, ReadTimeoutError, requests.exceptions.ChunkedEncodingError)

NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}

NO_PROXY_URL = "the proxy that the environment names has no URL that can be used; check HTTPS_PROXY and NO_PROXY"

NO_PROXY = "no connection through the proxy that the environment names; check HTTPS_PROXY and NO_PROXY"

CLAUSES: dict[type[BaseException], str] = {
    requests.exceptions.ProxyError: NO_PROXY,
    requests.exceptions.InvalidURL: NO_PROXY_URL,  # `api_url` has been found to be one
    requests.exceptions.InvalidSchema: NO_PROXY_URL,
    requests.Timeout: "the API did not answer in time; if it is only slow, raise `request_timeout`",
    ReadTimeoutError: "the API did not answer in time; if it is only slow, raise `request_timeout`",
    socket.gaierror: "the name of the API's host cannot be resolved; check the network and `api_url`",
    ConnectionRefusedError: "the API's host refuses the connection; check the network and `api_url`",
    requests.exceptions.ContentDecodingError: "the answer cannot be decompressed",
    requests.exceptions.ChunkedEncodingError: "the answer was cut short",
    http.client.RemoteDisconnected: "the connection was closed without an answer",
    ConnectionResetError: "the connection was broken off",
}
"""What to say of each kind of failure. The first of them among a failure's causes counts."""


def may_pass(failure: object) -> bool:
    """Tell whether asking again may help.

    Args:
        failure: The HTTP status of an error, or what was raised.

    Returns:
        True for what comes and goes. False for what a person has to mend.
    """
    if isinstance(failure, int):
        passing = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
        return failure in passing or failure >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(failure, MAY_PASS) and not any(map(_is_of_the_host, _causes(failure)))


def may_be_of_the_page(failure: BaseException) -> bool:
    """Tell whether a smaller page might have come: one that a gateway has no time or no room for.

    Args:
        failure: What was raised.

    Returns:
        True where the API got to work. False where it was not reached, or asked for patience.
    """
    response = getattr(failure, "response", None)
    if response is not None:
        return response.status_code not in {HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return any(isinstance(cause, OF_THE_ANSWER) for cause in _causes(failure))


def describe(error: BaseException) -> str:
    """Say in a clause what went wrong with a request, and what to do about it.

    Args:
        error: What `requests` or the tap raised.

    Returns:
        The clause: no URL, no key, nothing of a record.
    """
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
    """See whether it is the host, and no passing trouble, that makes TLS fail."""
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go from an error to what caused it, and to what caused that."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
