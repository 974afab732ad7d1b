from __future__ import annotations

import http.client
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_deepconverse.api.errors import (
    APIError,
    CursorRejectedError,
    FutureEndError,
    PageTooLargeError,
    describe,
    is_transient,
    kind_of,
    may_be_page_size,
    raise_for_status,
    retry_after,
)
from tap_deepconverse.api.redact import in_words
from tests.support import ROOT, section, table_cells

KEY = "S3CRET"
NOW = "Sat, 28 Feb 2026 23:59:30 GMT"
DOCUMENTED = [
    re.compile(".*".join(map(re.escape, row[0].split("…"))) + "$")
    for row in table_cells(section((ROOT / "docs" / "operations.md").read_text(), "Error messages"))[2:]
]


def response(status: int, body: str = "", *, query: str = "", **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = body.encode()  # noqa: SLF001
    made.url = f"https://api.example.com/conversations?{query}"
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def error_of(made: requests.Response) -> Exception:
    with pytest.raises((APIError, RetriableAPIError)) as raised:
        raise_for_status(made, KEY)
    assert any(row.match(str(raised.value)) for row in DOCUMENTED), str(raised.value)
    assert KEY not in str(raised.value)
    return raised.value


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


PASSES = [408, 425, 429, 500, 502, 503, 504, 599]
STAYS = [302, 400, 401, 402, 403, 404, 405, 409, 410, 413, 414, 422, 428, 431, 451]
NOT_TRUSTED = ssl.SSLCertVerificationError()
NOT_TRUSTED.verify_message = "self-signed certificate"
BAD_CERTIFICATE = caused(requests.exceptions.SSLError(), NOT_TRUSTED)
NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
NO_TLS.reason = "WRONG_VERSION_NUMBER"


def refused_by_proxy(status: str) -> Exception:
    return caused(requests.exceptions.ProxyError(), OSError(f"Tunnel connection failed: {status} S3CRET"))


@pytest.mark.parametrize(("status", "passes"), [*((s, True) for s in PASSES), *((s, False) for s in STAYS)])
def test_which_statuses_are_transient(status: int, passes: bool) -> None:  # noqa: FBT001
    error = error_of(response(status, Location="https://example.com/"))
    assert is_transient(error) is passes
    assert kind_of(error) == ("temporary" if passes else str(status))


@pytest.mark.parametrize("status", [200, 204])
def test_what_is_no_error(status: int) -> None:
    raise_for_status(response(status), KEY)


@pytest.mark.parametrize(
    ("made", "kind", "said"),
    [
        (response(413), PageTooLargeError, "the page is too large for the API (HTTP 413"),
        (response(400, query="cursor=x"), CursorRejectedError, "the API rejected the pagination cursor"),
        (response(404, query="cursor=x"), CursorRejectedError, "the API rejected the pagination cursor"),
        (response(403, query="cursor=x"), APIError, "the API refuses the key"),
        (response(413, query="cursor=x"), PageTooLargeError, "the page is too large"),
        (response(403, "<html><title>No</title>"), APIError, "the firewall in front of the API refuses the request"),
        (response(502, "<html><title>No</title>"), RetriableAPIError, "(HTTP 502: No), from the firewall"),
        (response(429, '{"message": "S3CRET!"}'), RetriableAPIError, "rate limited (HTTP 429: ***!)"),
        (response(429, Retry_After="259200"), APIError, "the API asks to wait 3 days (HTTP 429"),
        (response(203), APIError, "unexpected status (HTTP 203); check `api_url`"),
        (response(302, Location="https://x.example.com/a?S3CRET"), APIError, "redirects to https://x.example.com/a,"),
        (response(400, '{"message": "end is ahead"}'), APIError, "check this machine's clock"),
    ],
)
def test_what_a_status_means(made: requests.Response, kind: type[Exception], said: str) -> None:
    error = error_of(made)
    assert type(error) is kind
    assert said in str(error)


@pytest.mark.parametrize("reason", ["end_time must not be in the future", "The end is 4 s AHEAD of the server"])
@pytest.mark.parametrize("query", ["", "cursor=x"])
def test_an_end_in_the_future_comes_with_the_server_s_time(reason: str, query: str) -> None:
    error = error_of(response(400, f'{{"message": "{reason}"}}', query=query, Date=NOW))
    assert isinstance(error, FutureEndError)
    assert error.server_now == datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)
    assert kind_of(error) == "future"


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (FatalAPIError("no"), False),
        (requests.ConnectionError(), True),
        (requests.ConnectTimeout(), True),
        (requests.ReadTimeout(), True),
        (requests.exceptions.ChunkedEncodingError(), True),
        (requests.exceptions.ContentDecodingError(), True),
        (requests.exceptions.ProxyError(), True),
        (refused_by_proxy("503"), True),
        (refused_by_proxy("407"), False),
        (refused_by_proxy("403"), False),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), True),
        (BAD_CERTIFICATE, False),
        (caused(requests.exceptions.SSLError(), NO_TLS), False),
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
        (requests.ConnectTimeout("x"), "no connection to the API's host in time; check the network and `api_url`"),
        (requests.exceptions.ContentDecodingError("x"), "the response cannot be decompressed"),
        (requests.exceptions.ChunkedEncodingError("x"), "the response was cut short"),
        (requests.exceptions.ProxyError("x"), "check HTTPS_PROXY and NO_PROXY"),
        (refused_by_proxy("407"), "the proxy that the environment names refuses the request (HTTP 407); check HTTPS_"),
        (caused(requests.exceptions.SSLError(), NO_TLS), "API's host failed (WRONG_VERSION_NUMBER); check `api_url`"),
        (requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."), "PySocks is missing"),
        (requests.exceptions.InvalidProxyURL("x"), "check HTTPS_PROXY and NO_PROXY"),
        (BAD_CERTIFICATE, "certificate of the API's host is not valid here (self-signed certificate); check `api_url`"),
        (requests.ConnectionError("https://user:S3CRET@host"), "no connection to the API (ConnectionError); check"),
    ],
)  # fmt: skip
def test_what_is_said_of_them(error: Any, said: str) -> None:
    clause = describe(error)
    assert said in clause
    assert clause == "the API refuses" or any(row.match(clause) for row in DOCUMENTED)
    assert "S3CRET" not in clause


def test_causes_that_go_round_come_to_an_end() -> None:
    first, second = requests.ConnectionError("x"), OSError("y")
    first.__cause__, second.__cause__ = second, first
    assert describe(first).startswith("no connection to the API")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1e9"}, 0),
        ({"Retry-After": "Sun, 01 Mar 2026 00:00:30 GMT", "Date": NOW}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 00:00:30", "Date": NOW}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 01:00:30 +0100", "Date": NOW}, 60),
        ({"Retry-After": "Sat, 28 Feb 2026 23:00:00 GMT", "Date": NOW}, 0),
        ({"Retry-After": "Sun, 99 Mar 2026 00:00:30 GMT"}, 0),
    ],
)
def test_what_is_asked_for_is_read_in_seconds_and_as_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(response(429, **headers)) == seconds


def test_a_date_is_held_against_this_machine_s_clock_where_the_server_does_not_say_its_own() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(days=90), usegmt=True)
    assert 89 * 86_400 < retry_after(response(429, Retry_After=later)) <= 90 * 86_400


dates = st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True))
spoilt_dates = st.tuples(dates, st.integers(0, 28), st.text(max_size=3)).map(
    lambda d: d[0][: d[1]] + d[2] + d[0][d[1] :]
)


@given(st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text() | dates | spoilt_dates))
def test_whatever_a_header_says_it_is_a_number_of_seconds(headers: dict[str, Any]) -> None:
    assert retry_after(response(429, **headers)) >= 0


def test_durations_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 119, 120, 7100, 7200, 100_000, 259_200)] == [
        "0 s", "119 s", "2 min", "118 min", "2.0 h", "27.8 h", "3 days",
    ]  # fmt: skip
