"""Errors of a request: which are transient, and what a person can do about the others. Their meaning is inferred."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_deepconverse.api.redact import in_words, is_of_firewall, own_words

LONGEST_RETRY_AFTER = 300.0  # seconds; a longer wait, such as for a used-up quota, is an error
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


class RefusedError(APIError):
    """The API refuses the key, by HTTP 401 or 403."""


class FutureEndError(APIError):
    """The API says that the window ends in the future. `server_now` is the time by its clock."""

    def __init__(self, message: str, server_now: datetime) -> None:
        super().__init__(message, "future")
        self.server_now = server_now


class InvalidPageError(RetriableAPIError):
    """The response is not a page, or not all of one."""


class MissingPagesError(InvalidPageError):
    """The page has no cursor, but says that there are more records."""


class UnknownShapeError(InvalidPageError):
    """The response is JSON of another shape: perhaps the live API differs. The message names its keys."""


class StoppedError(FatalAPIError):
    """The sync is over, so no more requests may be sent."""


FUTURE = re.compile(r"\b(future|ahead)\b", re.IGNORECASE)
CUT_SHORT = (requests.ReadTimeout, requests.exceptions.ChunkedEncodingError)
TRANSIENT = (RetriableAPIError, requests.ConnectionError, *CUT_SHORT)
# In the reason of an error of the connection: a port without TLS, a certificate, a CA bundle, a proxy that refuses.
LASTING = "WRONG_VERSION|HTTP_REQUEST|UNSUPPORTED_PROTOCOL|CERTIFICATE_VERIFY|X509|Tunnel connection failed: [1-4]"


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may help."""
    return isinstance(error, TRANSIENT) and not re.search(LASTING, _reason(error))


def may_be_page_size(error: BaseException) -> bool:
    """Return whether a smaller page may work: the API was reached, but had too little time or memory."""
    response = getattr(error, "response", None)
    return isinstance(error, CUT_SHORT) if response is None else response.status_code not in {425, 429}


def kind_of(error: BaseException) -> str:
    """Return what went wrong, in a word: "temporary", also once the retries are over; an HTTP status; or a type."""
    return TEMPORARY if is_transient(error) else getattr(error, "kind", type(error).__name__)


def raise_for_status(response: requests.Response, key: str, end: float, *, has_cursor: bool) -> None:
    """Raise the error for a response, unless its status is 200 or 204. No message holds the API key.

    The request was for a window up to `end` (Unix seconds), and perhaps had a cursor.
    """
    status = response.status_code
    if status in {200, 204}:
        return
    reason = own_words(response, key)
    said = f"HTTP {status}: {reason}"
    error: type[APIError] = APIError
    if status < 400:  # noqa: PLR2004
        msg = f"the API returned an unexpected status ({said}), and redirects are not followed; check `api_url`"
    elif status in {408, 425, 429} or status >= 500:  # noqa: PLR2004
        seconds = retry_after(response)
        if seconds <= LONGEST_RETRY_AFTER:
            what = "rate limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "the API returned a temporary error"
            msg = f"{what} ({said})"
            raise RetriableAPIError(msg, response)
        msg = f"the API asks to wait {in_words(seconds)} ({said}); perhaps a quota is used up"
    elif status == HTTPStatus.FORBIDDEN and is_of_firewall(response):
        msg = f"the firewall in front of the API refuses the request ({said}); ask DeepConverse to allow your address"
    elif status in {401, 403}:
        error = RefusedError
        msg = f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports"
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        error = PageTooLargeError
        msg = f"the page is too large for the API ({said})"
    elif (now := _date_in(response, "Date")) and (end > now.timestamp() or re.search(FUTURE, reason)):
        msg = f"the API does not accept the request ({said}); check this machine's clock"
        raise FutureEndError(msg, now)
    elif has_cursor:
        error = CursorRejectedError
        msg = f"the API rejected the pagination cursor, which may have expired ({said})"
    else:
        check = "this bot's name in `bot_names`, then `window_days`, `start_date`, `page_size` and `api_url`"
        msg = f"the API does not accept the request ({said}); check {check}"
    raise error(msg, str(status))


def describe(error: BaseException) -> str:
    """Return in one clause what failed and what to do. It holds no URL, no key and nothing of a record."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    if isinstance(error, requests.ReadTimeout):
        return "no response from the API in time; if it is only slow, raise `request_timeout`"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the response was cut short, or is corrupt"
    what, check = "connection to the API", "check the network and `api_url`"
    if isinstance(error, requests.exceptions.SSLError):
        what = "TLS connection to the API's host"
        check = "check `api_url`; REQUESTS_CA_BUNDLE may name your network's CA"
    # A ValueError is not a valid URL, or SOCKS without its package; the settings have validated `api_url`.
    if isinstance(error, requests.exceptions.ProxyError | ValueError):
        what = "proxy that the environment names"
        check = "check HTTPS_PROXY and NO_PROXY; SOCKS needs PySocks"
    return f"the {what} failed ({_reason(error)}); {check}"


def _reason(error: BaseException) -> str:
    """Return the system's own reason for an error of the connection, or the name of its first cause."""
    reason = ""
    cause: BaseException | None = error
    while cause is not None and not re.search(LASTING, reason):
        refusal = re.match(r"Tunnel connection failed: \d+", str(cause))
        reason = refusal[0] if refusal else str(getattr(cause, "strerror", None) or type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return reason


def retry_after(response: requests.Response) -> float:
    """Return `Retry-After` (RFC 9110) in seconds, or 0. A date is compared with the server's clock, if it is known."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    now = _date_in(response, "Date") or datetime.now(UTC)
    return max(0.0, ((_date_in(response, "Retry-After") or now) - now).total_seconds())


def _date_in(response: requests.Response, header: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(response.headers.get(header, ""))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
