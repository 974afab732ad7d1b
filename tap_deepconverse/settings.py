"""The tap's settings, and which values are valid."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk import typing as th

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the tap, as the SDK describes it."""

    property: th.Property[Any]
    must_be: str  # completes the sentence "`name` must be ..."
    is_valid: Callable[[Any], object] = lambda _: True  # for values of the right JSON type


def _setting(
    name: str, kind: Any, must_be: str, is_valid: Callable[[Any], object] = lambda _: True, **details: Any
) -> Setting:
    return Setting(th.Property(name, kind, **details), must_be, is_valid)


SETTINGS = (
    _setting(
        "api_key",
        th.StringType,
        "the key that a site admin finds under Account > API: ASCII characters, no spaces or line breaks",
        re.compile(r"[!-~]+").fullmatch,
        required=True,
        secret=True,
        title="API key",
        description=(
            "Key for the Export API. A site admin finds it under Account > API; exports are part of certain "
            "(enterprise) plans only."
        ),
    ),
    _setting(
        "bot_names",
        th.ArrayType(th.StringType(pattern=r"\S")),
        'a list of one or more bot names or IDs, none of them blank, such as ["r3-218210"]',
        required=True,
        title="Bot names",
        description=(
            "Names or IDs of the bots whose conversations to extract, such as r3-218210. Each has its own bookmark, "
            "so a bot added later is backfilled from the start date."
        ),
        minItems=1,
    ),
    _setting(
        "start_date",
        th.DateTimeType,
        "a date from 1970 on, in ISO 8601, such as 2025-01-01T00:00:00Z",
        _is_date,
        required=True,
        title="Start date",
        description="Where the first sync of a bot begins, such as 2025-01-01T00:00:00Z. UTC if it has no offset.",
    ),
    _setting(
        "end_date",
        th.DateTimeType,
        "a date in ISO 8601, such as 2025-07-01T00:00:00Z",
        _is_date,
        title="End date",
        description="End of the date range, for backfills. By default the time at which the sync starts.",
    ),
    _setting(
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
    _setting(
        "page_size",
        th.IntegerType(minimum=1, maximum=1000),
        "a whole number from 1 to 1000",
        default=1000,
        title="Page size",
        description="Records per request. The API's maximum is 1000.",
    ),
    _setting(
        "window_days",
        th.IntegerType(minimum=1),
        "a whole number of days, at least 1",
        default=30,
        title="Window in days",
        description="Longest window to request, in days. The bookmark moves when a window is complete.",
    ),
    _setting(
        "lookback_days",
        th.IntegerType(minimum=0),
        "a whole number of days, 0 or more",
        default=3,
        title="Lookback in days",
        description="Days before the bookmark at which a run begins, to find late changes and late records.",
    ),
    _setting(
        "exclude_metadata",
        th.ArrayType(th.StringType),
        'a list of names, each with text in it and `*` at its end only, such as ["__sys_userIp", "browser_userMeta.*"]',
        lambda names: all(name.strip() and "*" not in name[:-1] for name in names),
        title="Exclude from metadata",
        description=(
            "Parameters of `metadata` (and fields of `additional_fields`) that never leave the tap, such as "
            "__sys_userIp, browser_userMeta.email (nested) or __sys_user* (the rest of one key)."
        ),
    ),
    _setting(
        "requests_per_second",
        th.IntegerType(minimum=1),
        "a whole number, at least 1",
        default=3,
        title="Requests per second",
        description="Most requests a second to send to an endpoint: 3 is the API's limit, unless yours is higher.",
    ),
    _setting(
        "concurrency",
        th.IntegerType(minimum=1, maximum=32),
        "a whole number from 1 to 32",
        default=16,
        title="Concurrency",
        description="Most windows to read at the same time. The tap reads only as many as the API's rate limit needs.",
    ),
    _setting(
        "request_timeout",
        th.IntegerType(minimum=1),
        "a whole number of seconds, at least 1",
        default=60,
        title="Request timeout",
        description="Seconds to wait for the connection, or for the next bytes of a response, before a request fails.",
    ),
)

CONFIG_JSONSCHEMA = th.PropertiesList(*(setting.property for setting in SETTINGS)).to_dict()


def problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each setting that is wrong, without its value (it may be the key).

    Args:
        config: The settings' values by name, defaults filled in.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.
    """
    errors = list(th.DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(dict(config)))
    missing = {name for name in schema.get("required", ()) if name not in config}
    invalid = {str(error.path[0]) for error in errors if error.path}

    sentences = []
    for setting in SETTINGS:
        name = setting.property.name
        value = config.get(name)
        if name in missing:
            sentences.append(f"`{name}` is missing: it must be {setting.must_be}.")
        elif name in invalid or (value is not None and not setting.is_valid(value)):
            invalid.add(name)
            sentences.append(f"`{name}` must be {setting.must_be}.")

    added_by_sdk = sorted(invalid - {setting.property.name for setting in SETTINGS})
    sentences += [f"`{name}` is not of the form that --about describes." for name in added_by_sdk]

    is_span = config.get("end_date") is not None and not {"start_date", "end_date"} & (invalid | missing)
    if is_span and parse_date(config["end_date"]) <= parse_date(config["start_date"]):
        sentences.append("`end_date` must be later than `start_date`.")
    return sentences
