"""The tap's settings, and which values are valid: JSON Schema says what it can, functions the rest."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk import typing as th

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_date(value: str) -> datetime:
    """Parse an ISO 8601 date, with or without a time, in UTC if it has no offset; raise ValueError."""
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_date(value: str) -> bool:
    with suppress(ValueError):
        return parse_date(value) >= _EPOCH
    return False


def _is_api_url(value: str) -> bool:
    try:
        url = urlsplit(value)
        _ = url.port, (url.hostname or "").encode("idna")
    except ValueError:
        return False
    if not url.hostname or url.username is not None or re.search(r"[?#{}\s]", value):
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname))


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _are_names(values: list[str]) -> bool:
    return not any(re.search("[\ud800-\udfff]", value) for value in values)


class Setting(th.Property[Any]):
    """A setting of the tap, as the SDK describes it, with what else it must be."""

    def __init__(
        self, name: str, kind: Any, must_be: str, is_valid: Callable[[Any], object] = lambda _: True, **details: Any
    ) -> None:
        super().__init__(name, kind, **details)
        self.must_be = must_be  # completes the sentence "`name` must be ..."
        self.is_valid = is_valid  # for values that JSON Schema accepts


def _whole_number(name: str, title: str, default_least_most: tuple[int, int, int | None], description: str) -> Setting:
    default, least, most = default_least_most
    must_be = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"
    kind = th.IntegerType(minimum=least, maximum=most)
    return Setting(name, kind, must_be, default=default, title=title, description=description)


SETTINGS = (
    Setting(
        "api_key",
        th.StringType(pattern=r"^[!-~]+\Z"),
        "the key that a site admin finds under Account > API: ASCII characters, no spaces or line breaks",
        required=True,
        secret=True,
        title="API key",
        description=(
            "Key for the Export API. A site admin finds it under Account > API; exports are part of certain "
            "(enterprise) plans only."
        ),
    ),
    Setting(
        "bot_names",
        th.ArrayType(th.StringType(pattern=r"\S")),
        'a list of one or more bot names or IDs, none of them blank or half a character, such as ["r3-218210"]',
        _are_names,
        required=True,
        title="Bot names",
        description=(
            "Names or IDs of the bots whose conversations to extract, such as r3-218210. Each has its own bookmark, "
            "so a bot added later is backfilled from the start date."
        ),
        minItems=1,
    ),
    Setting(
        "start_date",
        th.DateTimeType,
        "a date from 1970 on, in ISO 8601, such as 2025-01-01T00:00:00Z",
        _is_date,
        required=True,
        title="Start date",
        description="Where the first sync of a bot begins, such as 2025-01-01T00:00:00Z. UTC if it has no offset.",
    ),
    Setting(
        "end_date",
        th.DateTimeType,
        "a date in ISO 8601, such as 2025-07-01T00:00:00Z",
        _is_date,
        title="End date",
        description=(
            "End of the date range, for backfills. A date without a time ends at its beginning: 2025-01-01 does not "
            "read that day. By default the time at which the sync starts."
        ),
    ),
    Setting(
        "api_url",
        th.StringType,
        (
            "an https URL without user, query or fragment, such as https://api.converseapps.com "
            "(http is for loopback only: the key would travel in the clear)"
        ),
        _is_api_url,
        default="https://api.converseapps.com",
        title="API URL",
        description="Where the Export API is: https, or http for a server on this machine (loopback) only.",
    ),
    _whole_number("page_size", "Page size", (1000, 1, 1000), "Records per request. The API's maximum is 1000."),
    _whole_number(
        "window_days",
        "Window in days",
        (30, 1, None),
        "Longest window to request, in days. The bookmark moves when a window is complete.",
    ),
    _whole_number(
        "lookback_days",
        "Lookback in days",
        (3, 0, None),
        "Days before the bookmark at which a run begins, to find late changes and late records.",
    ),
    Setting(
        "exclude_metadata",
        th.ArrayType(th.StringType),
        'a list of names, each with text in it and `*` at its end only, such as ["__sys_userIp", "browser_userMeta.*"]',
        title="Exclude from metadata",
        description=(
            "Parameters of `metadata` (and fields of `additional_fields`) that never leave the tap, such as "
            "__sys_userIp, browser_userMeta.email (nested) or __sys_user* (the rest of one key)."
        ),
    ),
    _whole_number(
        "requests_per_second",
        "Requests per second",
        (3, 1, 1_000_000),
        "Most requests a second to send to an endpoint: 3 is the API's limit, unless yours is higher.",
    ),
    _whole_number(
        "concurrency",
        "Concurrency",
        (16, 1, 32),
        "Most windows to read at the same time. The tap reads only as many as the API's rate limit needs.",
    ),
    _whole_number(
        "request_timeout",
        "Request timeout",
        (60, 1, 86_400),
        "Seconds to wait for the connection, or for the next bytes of a response, before a request fails.",
    ),
)

CONFIG_JSONSCHEMA = th.PropertiesList(*SETTINGS).to_dict()
