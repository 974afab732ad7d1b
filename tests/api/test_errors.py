from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

import pytest
import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_deepconverse.api.errors import describe, is_transient, may_be_page_size


def response(status: int) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    return made


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


PASSES = [408, 425, 429, 500, 502, 503, 504, 599]
STAYS = [400, 401, 402, 403, 404, 405, 409, 410, 413, 414, 422, 428, 431, 451]
NOT_TRUSTED = ssl.SSLCertVerificationError()
NOT_TRUSTED.verify_message = "self-signed certificate"
BAD_CERTIFICATE = caused(requests.exceptions.SSLError(), NOT_TRUSTED)


@pytest.mark.parametrize(("status", "passes"), [*((s, True) for s in PASSES), *((s, False) for s in STAYS)])
def test_which_statuses_are_transient(status: int, passes: bool) -> None:  # noqa: FBT001
    assert is_transient(status) is passes


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (RetriableAPIError("no", response(500)), True),
        (FatalAPIError("no"), False),
        (requests.ConnectionError(), True),
        (requests.ConnectTimeout(), True),
        (requests.ReadTimeout(), True),
        (requests.exceptions.ChunkedEncodingError(), True),
        (requests.exceptions.ContentDecodingError(), True),
        (requests.exceptions.ProxyError(), True),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), True),
        (BAD_CERTIFICATE, False),
        (requests.exceptions.InvalidURL(), False),
        (requests.exceptions.InvalidHeader(), False),
        (requests.exceptions.InvalidProxyURL(), False),
        (requests.exceptions.TooManyRedirects(), False),
    ],
)
def test_which_errors_are_transient(error: Exception, passes: bool) -> None:  # noqa: FBT001
    assert is_transient(error) is passes


@pytest.mark.parametrize(
    ("error", "of_the_page"),
    [
        (RetriableAPIError("no", response(500)), True),
        (RetriableAPIError("no", response(504)), True),
        (RetriableAPIError("no", response(408)), True),
        (RetriableAPIError("no", response(200)), True),
        (RetriableAPIError("no", response(429)), False),
        (RetriableAPIError("no", response(425)), False),
        (requests.ReadTimeout(), True),
        (requests.ConnectTimeout(), False),
        (requests.exceptions.ChunkedEncodingError(), True),
        (caused(requests.ConnectionError(), ConnectionRefusedError()), False),
    ],
)
def test_which_errors_a_smaller_page_might_help_with(error: Exception, of_the_page: bool) -> None:  # noqa: FBT001
    assert may_be_page_size(error) is of_the_page


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FatalAPIError("the API refuses"), "the API refuses"),
        (caused(requests.ConnectionError("x"), socket.gaierror(-3, "x")), "name of the API's host cannot be resolved"),
        (caused(requests.ConnectionError("x"), ConnectionRefusedError()), "refuses the connection; check"),
        (caused(requests.ConnectionError("x"), ConnectionResetError()), "the connection was reset"),
        (caused(requests.ConnectionError("x"), http.client.RemoteDisconnected("x")), "closed without a response"),
        (requests.ReadTimeout("x"), "no response from the API in time; if it is only slow, raise `request_timeout`"),
        (requests.exceptions.ProxyError("x"), "check HTTPS_PROXY and NO_PROXY"),
        (requests.exceptions.InvalidProxyURL("x"), "check HTTPS_PROXY and NO_PROXY"),
        (BAD_CERTIFICATE, "certificate of the API's host is not valid here (self-signed certificate); check `api_url`"),
        (requests.ConnectionError("https://user:S3CRET@host"), "no connection to the API (ConnectionError); check"),
    ],
)  # fmt: skip
def test_what_is_said_of_them(error: Any, said: str) -> None:
    clause = describe(error)
    assert said in clause
    assert "S3CRET" not in clause


def test_causes_that_go_round_come_to_an_end() -> None:
    first, second = requests.ConnectionError("x"), OSError("y")
    first.__cause__, second.__cause__ = second, first
    assert describe(first).startswith("no connection to the API")
