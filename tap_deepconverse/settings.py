"""The tap's settings: what each must be, and one sentence for each that is wrong."""

import json
import logging
import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from dotenv import find_dotenv
from jsonschema import FormatChecker  # type: ignore[import-untyped]
from singer_sdk import typing as th
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.api.redact import Secret
from tap_deepconverse.records.exclude import bad_names
from tap_deepconverse.records.values import EPOCH, parse_iso
from tap_deepconverse.singer.stream_maps import stream_map_problems

logger = logging.getLogger("tap-deepconverse")

PREFIX = "TAP_DEEPCONVERSE_"
_LABEL = r"[^\s/?#{}@:.\[\]]{1,63}"
_HOST = rf"({_LABEL}(\.{_LABEL})*|\[[0-9a-fA-F:.]+\])"
_PORT = r"(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_LOOPBACK = r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])"
_MAP = {"type": ["object", "string", "null"], "additionalProperties": {"type": ["array", "string", "null"]}}
_API_URL = rf"^(https://{_HOST}|http://{_LOOPBACK}){_PORT}(/[^\s?#{{}}]*)?\Z"


FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time", raises=(TypeError, ValueError))(lambda value: parse_iso(value) >= EPOCH)


class Setting(th.Property[Any]):
    """A setting of the tap, as the SDK describes it. `must_be` completes the sentence "`name` must be ..."."""

    def __init__(self, name: str, kind: Any, must_be: str, description: str, **details: Any) -> None:
        title = name.replace("_", " ").capitalize().replace("Api", "API").replace("url", "URL")
        super().__init__(name, kind, title=title, description=description, **details)
        self.must_be = must_be


def _whole_number(name: str, default: int, least: int, most: int | None, description: str) -> Setting:
    must_be = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"
    return Setting(name, th.IntegerType(minimum=least, maximum=most), must_be, description, default=default)


SETTINGS = (
    Setting(
        "api_key",
        th.StringType(pattern=r"^[!-~]+\Z"),
        "the key that a site admin finds under Account > API: ASCII characters, no spaces or line breaks",
        "Key for the Export API. A site admin finds it under Account > API; exports are part of certain (enterprise) "
        "plans only.",
        required=True,
        secret=True,
    ),
    Setting(
        "bot_names",
        th.ArrayType(th.StringType(pattern=r"^(?=\s*\S)[^\ud800-\udfff]+\Z")),
        'a list of one or more bot names or IDs, none of them blank or half a character, such as ["r3-218210"]',
        "Names or IDs of the bots whose conversations to extract, such as r3-218210. Each has its own bookmark, so a "
        "bot added later is backfilled from the start date.",
        required=True,
        minItems=1,
    ),
    Setting(
        "start_date",
        th.DateTimeType,
        "a date from 1970 on, in ISO 8601, such as 2025-01-01T00:00:00Z",
        "Where the first sync of a bot begins, such as 2025-01-01T00:00:00Z. UTC if it has no offset.",
        required=True,
    ),
    Setting(
        "end_date",
        th.DateTimeType,
        "a date in ISO 8601, such as 2025-07-01T00:00:00Z",
        "End of the date range, for backfills. A date without a time ends at its beginning: 2025-01-01 does not read "
        "that day. By default the time at which the sync starts.",
    ),
    Setting(
        "api_url",
        th.StringType(pattern=_API_URL),
        "an https URL without user, query or fragment, such as https://api.converseapps.com (http is for loopback "
        "only: the key would travel in the clear)",
        "Where the Export API is: https, or http for a server on this machine (loopback) only.",
        default="https://api.converseapps.com",
    ),
    _whole_number("page_size", 1000, 1, 1000, "Records per request. The API's maximum is 1000."),
    _whole_number(
        "window_days", 30, 1, None, "Longest window to request, in days. Long silence takes a request for each."
    ),
    _whole_number("lookback_days", 3, 0, None, "Days before the bookmark at which a run begins, to find late changes."),
    Setting(
        "exclude_metadata",
        th.ArrayType(th.StringType),
        'a list of names, each with text in it and `*` at its end only, such as ["__sys_userIp", "browser_userMeta.*"]',
        "Parameters of `metadata` (and fields of `additional_fields`) that never leave the tap, such as __sys_userIp, "
        "browser_userMeta.email (nested) or __sys_user* (the rest of one key).",
    ),
    _whole_number("requests_per_second", 3, 1, 1_000_000, "Requests a second to an endpoint: 3 is the API's limit."),
    _whole_number("concurrency", 16, 1, 32, "Most windows to read at once. The tap reads as many as the limit needs."),
    _whole_number(
        "request_timeout", 60, 1, 86_400, "Seconds to wait for a connection, or the next bytes of a response."
    ),
    Setting(
        "stream_maps",  # the SDK's own definition fails with an AttributeError where `__else__` is wrong
        th.CustomType({"type": ["object", "null"], "additionalProperties": _MAP}),
        "JSON of the form that https://sdk.meltano.com/en/latest/stream_maps.html describes",
        "Stream maps of the SDK, to mask, rename or filter: see https://sdk.meltano.com/en/latest/stream_maps.html.",
    ),
)

CONFIG_JSONSCHEMA = th.PropertiesList(*SETTINGS).to_dict()
MUST_BE = {setting.name: setting.must_be for setting in SETTINGS}
PROTECTIONS = ("exclude_metadata", "stream_maps")
"""Settings that a misspelt name must not leave without effect."""
OTHER = "JSON of the form that --about describes"


def tidy(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without nulls, with no blanks around bot names, and with a key that `repr` does not show."""
    tidied = {name: value for name, value in config.items() if value is not None}
    if isinstance(key := tidied.get("api_key"), str):
        tidied["api_key"] = Secret(key)
    if isinstance(names := tidied.get("bot_names"), list):
        tidied["bot_names"] = [name.strip() if isinstance(name, str) else name for name in names]
    return tidied


def settings_in_environment(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, unknown ones too, in the environment and in the file .env, as the SDK parses them.

    Raises:
        ConfigurationError: If the SDK cannot, whose error does not name the variable.
    """
    try:
        env_file = find_dotenv(usecwd=True)  # the SDK looks beside its own code
        parse_environment_config({}, PREFIX, env_file)  # adds the file .env to the environment
    except ValueError:
        msg = "The file .env, from which `--config ENV` takes settings, is not text in UTF-8."
        raise ConfigurationError(msg) from None
    ours = re.compile(f"{PREFIX}(?!_|LOGLEVEL$)[A-Z0-9_]+")  # the variables that Meltano adds have two underscores
    texts = {name.removeprefix(PREFIX).lower(): text for name, text in os.environ.items() if ours.fullmatch(name)}
    for name, text in texts.items():
        types = schema["properties"].get(name, {}).get("type", ())
        is_json = "object" in types or ("array" in types and text.lstrip().startswith("["))  # others have commas
        parse: Any = json.loads if is_json else int if "integer" in types else str
        try:
            parse(text)
        except ValueError:
            msg = f"`{name}` ({PREFIX}{name.upper()} in the environment) must be {MUST_BE.get(name, OTHER)}."
            raise ConfigurationError(msg) from None
    return {**texts, **parse_environment_config(dict(schema), PREFIX, env_file)}


def check_settings(config: Mapping[str, Any], schema: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> None:
    """Warn of unknown settings, and refuse wrong ones. `fields` are those of each stream, for stream maps.

    Raises:
        ConfigurationError: With a sentence for each setting to fix. None holds a value: it may be the key.
    """
    problems = []
    for name in config.keys() - schema["properties"].keys():
        plain = re.sub("[^a-z]", "", name.casefold())
        if close := [meant for meant in PROTECTIONS if get_close_matches(meant.replace("_", ""), [plain], cutoff=0.85)]:
            problems.append(f"`{name}` is not a setting of this tap: write `{close[0]}`.")
        elif name.replace("-", "_").isidentifier():
            logger.warning("`%s` is not a setting of this tap, and is ignored.", name)
    errors = th.DEFAULT_JSONSCHEMA_VALIDATOR(schema, format_checker=FORMATS).iter_errors(dict(config))
    invalid = {error.path[0] for error in errors if error.path}
    problems += [
        f"`{name}` is missing: it must be {MUST_BE[name]}." for name in schema["required"] if name not in config
    ]
    problems += [f"`{name}` must be {MUST_BE.get(name, OTHER)}." for name in schema["properties"] if name in invalid]
    valid = {name: value for name, value in config.items() if name not in invalid}
    start, end = valid.get("start_date"), valid.get("end_date")
    if start and end and parse_iso(end) <= parse_iso(start):
        problems.append("`end_date` must be later than `start_date`.")
    if bool(config.get("flattening_enabled")) != bool(config.get("flattening_max_depth")):
        problems.append("`flattening_enabled` and `flattening_max_depth` need each other: set both, or none.")
    if "stream_maps" in valid:
        problems += stream_map_problems(valid["stream_maps"], fields)
    problems += bad_names(valid.get("exclude_metadata", ()), fields)
    if problems:
        raise ConfigurationError("\n".join(problems))
