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
    RefusedError,
    describe,
    is_transient,
    kind_of,
    may_be_page_size,
    raise_for_status,
    retry_after,
)
from tap_deepconverse.api.redact import in_words
from tests.support import ROOT, response_of, section, table_cells

KEY = "S3CRET"
NOW = "Sat, 28 Feb 2026 23:59:30 GMT"
DOCUMENTED = [
    re.compile(".*".join(map(re.escape, row[0].split("…"))) + "$")
    for row in table_cells(section((ROOT / "docs" / "operations.md").read_text(), "Error messages"))[2:]
]


def response(status: int, body: str = "", *, query: str = "", **headers: str) -> requests.Response:
    made = response_of(status, body, **headers)
    made.url = f"https://api.example.com/conversations?{query}"
    return made


def error_of(made: requests.Response) -> Exception:
    with pytest.raises((APIError, RetriableAPIError)) as raised:
        raise_for_status(made, KEY, 0, has_cursor="cursor" in made.url)
    assert any(row.match(str(raised.value)) for row in DOCUMENTED), str(raised.value)
    assert KEY not in str(raised.value)
    return raised.value


PASSES = [408, 425, 429, 500, 502, 503, 504, 599]
STAYS = [203, 302, 400, 401, 402, 403, 404, 405, 409, 410, 413, 414, 422, 428, 431, 451]


@pytest.mark.parametrize(("status", "passes"), [*((s, True) for s in PASSES), *((s, False) for s in STAYS)])
def test_which_statuses_are_transient(status: int, passes: bool) -> None:  # noqa: FBT001
    error = error_of(response(status, Location="https://example.com/"))
    assert is_transient(error) is passes
    assert kind_of(error) == ("temporary" if passes else str(status))


@pytest.mark.parametrize(
    ("made", "kind", "said"),
    [
        (response(404, query="cursor=x"), CursorRejectedError, "the API rejected the pagination cursor"),
        (response(403, query="cursor=x"), RefusedError, "the API refuses the key"),
        (response(403, "<html><title>No</title>"), APIError, "the firewall in front of the API refuses the request"),
        (response(502, "<html><title>No</title>"), RetriableAPIError, "temporary error (HTTP 502: No)"),
        (response(429, '{"message": "key=S3CRET!"}'), RetriableAPIError, "rate limited (HTTP 429: ***)"),
        (response(429, Retry_After="259200"), APIError, "the API asks to wait 3 days (HTTP 429"),
        (
            response(302, Location="/"),
            APIError,
            "(HTTP 302: Bad Gateway), and redirects are not followed; check `api_url`",
        ),
        (response(400, '{"message": "end is ahead"}'), APIError, "check this bot's name in `bot_names`, then `window_"),
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


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "passes", "said"),
    [
        (FatalAPIError("the API refuses"), False, "the API refuses"),
        (caused(requests.ConnectionError("S3CRET"), socket.gaierror(-3, "no name")), True, "failed (no name); check"),
        (requests.ConnectionError("https://user:S3CRET@host"), True, "to the API failed (ConnectionError); check"),
        (requests.ReadTimeout("S3CRET"), True, "in time; if it is only slow, raise `request_timeout`"),
        (requests.exceptions.ChunkedEncodingError("S3CRET"), True, "the response was cut short, or is corrupt"),
        (requests.exceptions.ProxyError("S3CRET"), True, "failed (ProxyError); check HTTPS_PROXY and NO_PROXY"),
        (caused(requests.exceptions.ProxyError(), OSError("Tunnel connection failed: 503 no")), True, "failed: 503"),
        (requests.exceptions.InvalidURL("S3CRET"), False, "failed (InvalidURL); check HTTPS_PROXY"),
        (caused(requests.exceptions.SSLError("S3CRET"), ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING] no")),
         True, "the TLS connection to the API's host failed ([SSL: UNEXPECTED"),
        (requests.exceptions.TooManyRedirects("S3CRET"), False, "to the API failed (TooManyRedirects)"),
    ],
)  # fmt: skip
def test_which_errors_of_a_connection_are_transient_and_what_is_said(
    error: Exception, said: str, *, passes: bool
) -> None:
    assert is_transient(error) is passes
    clause = describe(error)
    assert said in clause
    assert clause == "the API refuses" or any(row.match(clause) for row in DOCUMENTED)
    assert KEY not in clause


@pytest.mark.parametrize(
    ("error", "of_the_page"),
    [
        *((RetriableAPIError("no", response(status)), True) for status in (200, 408, 500, 504)),
        (RetriableAPIError("no", response(429)), False),
        (requests.ReadTimeout(), True),
        (requests.ConnectTimeout(), False),
        (requests.exceptions.ChunkedEncodingError(), True),
    ],
)
def test_which_errors_a_smaller_page_might_help_with(error: Exception, of_the_page: bool) -> None:  # noqa: FBT001
    assert may_be_page_size(error) is of_the_page


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "Sun, 01 Mar 2026 00:00:30 GMT", "Date": NOW}, 60),
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


@given(st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text() | dates))
def test_whatever_a_header_says_it_is_a_number_of_seconds(headers: dict[str, Any]) -> None:
    assert retry_after(response(429, **headers)) >= 0


def test_durations_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 119, 120, 7100, 7200, 100_000, 259_200)] == [
        "0 s", "119 s", "2 min", "118 min", "2.0 h", "27.8 h", "3 days",
    ]  # fmt: skip
