"""The tap's settings: what each is for, and what its value has to be."""

from __future__ import annotations

import json
import re
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
    """Read a date from the settings.

    Args:
        value: A date or a date with a time, ISO 8601. Without an offset it is in UTC.

    Returns:
        An aware datetime.

    Raises:
        ValueError: If it is no date.
    """
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_date(value: str) -> bool:
    try:
        return parse_date(value) >= _EPOCH
    except ValueError:
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
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the tap.

    Attributes:
        property: Its name, type, default, title and description, as the SDK wants them.
        must_be: Completes the sentence "`name` must be ..." for a person who got it wrong.
        is_valid: What a value of the right JSON type must fulfil besides.
    """

    property: th.Property[Any]
    must_be: str
    is_valid: Callable[[Any], object] = lambda _: True


SETTINGS = (
    Setting(
        th.Property(
            "api_key",
            th.StringType,
            required=True,
            secret=True,
            title="API key",
            description=(
                "Key for the Export API. A site admin finds it under Account > API; exports are part of certain "
                "(enterprise) plans only."
            ),
        ),
        "the key that a site admin finds under Account > API: ASCII characters, no spaces or line breaks",
        re.compile(r"[!-~]+").fullmatch,
    ),
    Setting(
        th.Property(
            "bot_names",
            th.ArrayType(th.StringType(pattern=r"\S")),
            required=True,
            title="Bot names",
            description=(
                "Names or IDs of the bots whose conversations to extract, such as r3-218210. Each has a bookmark of "
                "its own, so a bot that is added later is filled from the start date."
            ),
            minItems=1,
        ),
        'a list of one or more bot names or IDs, none of them blank, such as ["r3-218210"]',
        # Where a list in the environment is not valid JSON, the SDK takes its text for a name.
        lambda names: not any(name.startswith("[") for name in names),
    ),
    Setting(
        th.Property(
            "start_date",
            th.DateTimeType,
            required=True,
            title="Start date",
            description="Where the first sync of a bot begins, such as 2025-01-01T00:00:00Z. UTC unless it says so.",
        ),
        "a date from 1970 on, in ISO 8601, such as 2025-01-01T00:00:00Z",
        _is_date,
    ),
    Setting(
        th.Property(
            "end_date",
            th.DateTimeType,
            title="End date",
            description="Where a sync ends, to fill a fixed span of time. By default it ends at the moment it began.",
        ),
        "a date in ISO 8601, such as 2025-07-01T00:00:00Z",
        _is_date,
    ),
    Setting(
        th.Property(
            "api_url",
            th.StringType,
            default="https://api.converseapps.com",
            title="API URL",
            description="Where the Export API is: https, or http for a server on this machine (loopback) only.",
        ),
        (
            "an https URL without user, query or fragment, such as https://api.converseapps.com "
            "(http is for loopback only: the key would travel in the clear)"
        ),
        _is_api_url,
    ),
    Setting(
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=1000),
            default=1000,
            title="Page size",
            description="Records to ask for in one request. The API gives 1000 at most.",
        ),
        "a whole number from 1 to 1000",
    ),
    Setting(
        th.Property(
            "window_days",
            th.IntegerType(minimum=1),
            default=30,
            title="Window in days",
            description="Longest span of time to ask for at once. The bookmark moves when one has been read whole.",
        ),
        "a whole number of days, at least 1",
    ),
    Setting(
        th.Property(
            "lookback_days",
            th.IntegerType(minimum=0),
            default=1,
            title="Lookback in days",
            description="How far behind its bookmark a run begins, to find what changed or turned up late.",
        ),
        "a whole number of days, 0 or more",
    ),
    Setting(
        th.Property(
            "requests_per_second",
            th.IntegerType(minimum=1),
            default=3,
            title="Requests per second",
            description="Most requests a second to send to an endpoint: 3 is the API's limit, unless yours is higher.",
        ),
        "a whole number, at least 1",
    ),
    Setting(
        th.Property(
            "concurrency",
            th.IntegerType(minimum=1, maximum=16),
            default=8,
            title="Concurrency",
            description="Windows to read at the same time, so that slow answers do not slow the sync.",
        ),
        "a whole number from 1 to 16",
    ),
    Setting(
        th.Property(
            "request_timeout",
            th.IntegerType(minimum=1),
            default=60,
            title="Request timeout",
            description="Seconds to wait for the API to connect, or to send on, before a request has failed.",
        ),
        "a whole number of seconds, at least 1",
    ),
)

CONFIG_JSONSCHEMA = th.PropertiesList(*(setting.property for setting in SETTINGS)).to_dict()


def problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a configuration, without repeating a value: it may be the key.

    Args:
        config: The settings' values by name, defaults filled in.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.

    Returns:
        One sentence for each setting that a person has to mend; none if all is well.
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


def unreadable_variables(environment: Mapping[str, str], schema: Mapping[str, Any]) -> list[str]:
    """Say which settings in the environment cannot be read: the SDK stops at them without naming them.

    Args:
        environment: The environment's variables.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.

    Returns:
        One sentence for each.
    """
    sentences = []
    for name, property_schema in schema["properties"].items():
        variable = f"TAP_DEEPCONVERSE_{name.upper()}"
        if variable not in environment or {"string", "boolean"} & set(property_schema["type"]):
            continue
        kind, read = ("a whole number", int) if "integer" in property_schema["type"] else ("JSON", json.loads)
        try:
            read(environment[variable])
        except ValueError:
            sentences.append(f"`{name}` ({variable} in the environment) must be {kind}.")
    return sentences
