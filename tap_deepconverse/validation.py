"""Checks the given settings before anything is read. No sentence holds a value: it may be the key."""

from __future__ import annotations

import json
import logging
import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_deepconverse.records.exclude import bad_names
from tap_deepconverse.settings import SETTINGS, parse_date
from tap_deepconverse.singer.stream_maps import stream_map_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

logger = logging.getLogger("tap-deepconverse")

PREFIX = "TAP_DEEPCONVERSE_"
MUST_BE = {setting.name: setting.must_be for setting in SETTINGS}
_SETTING_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


def check_settings(
    read_config: Callable[[], Mapping[str, Any]],
    schema: Mapping[str, Any],
    fields: Mapping[str, Collection[str]],
    failure: Exception | None,
    *,
    is_env_read: bool,
) -> None:
    """Explain why the SDK failed, which names no setting, and check what it does not.

    Args:
        read_config: Returns the settings' values by name, defaults filled in, if the environment could be read.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.
        fields: The fields of each stream, which stream maps may name.
        failure: What the SDK raised, if anything.
        is_env_read: Whether settings also come from environment variables.

    Raises:
        ConfigValidationError: With a sentence for each setting to fix.
    """
    problems = environment_problems(schema, failure) if is_env_read else []
    if not problems:
        config = read_config()
        warn_of_unknown({*config, *(settings_in_environment() if is_env_read else ())}, schema)
        problems = config_problems(config, schema, fields)
    if problems:
        msg = "Config validation failed"
        raise ConfigValidationError(msg, errors=problems, schema=dict(schema)) from None
    if failure:
        raise failure


def config_problems(
    config: Mapping[str, Any], schema: Mapping[str, Any], fields: Mapping[str, Collection[str]]
) -> list[str]:
    """Return a sentence for each setting that is wrong.

    Args:
        config: The settings' values by name, defaults filled in.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.
        fields: The fields of each stream, which stream maps may name.
    """
    stream_maps = config.get("stream_maps")
    of_maps = stream_map_problems(stream_maps, fields) if isinstance(stream_maps, dict) else []
    names = config.get("exclude_metadata")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        of_maps += bad_names(names, fields)
    if of_maps:
        config = {name: value for name, value in config.items() if name != "stream_maps"}
    errors = list(DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(dict(config)))
    return [*_problems(config, {str(error.path[0]) for error in errors if error.path}), *of_maps]


def _problems(config: Mapping[str, Any], invalid: set[str]) -> Iterator[str]:
    for setting in SETTINGS:
        name = setting.name
        is_missing = name not in config and not setting.optional
        if is_missing or name in invalid or (name in config and not setting.is_valid(config[name])):
            invalid.add(name)
            yield f"`{name}` {'is missing: it ' if is_missing else ''}must be {setting.must_be}."
    for name in sorted(invalid - MUST_BE.keys()):
        yield f"`{name}` is not of the form that --about describes."
    span = {"start_date", "end_date"}
    if span <= config.keys() - invalid and parse_date(config["end_date"]) <= parse_date(config["start_date"]):
        yield "`end_date` must be later than `start_date`."
    if bool(config.get("flattening_enabled")) != bool(config.get("flattening_max_depth")):
        yield "`flattening_enabled` and `flattening_max_depth` need each other: set both, or none."


def settings_in_environment() -> dict[str, str]:
    """Return the settings in the environment, by name. The variables that Meltano adds have two underscores."""
    names = [name for name in os.environ if re.match(f"{PREFIX}[^_]", name) and name != f"{PREFIX}LOGLEVEL"]
    return {name.removeprefix(PREFIX).lower(): os.environ[name] for name in names}


def environment_problems(schema: Mapping[str, Any], failure: Exception | None) -> list[str]:
    """Return a sentence for each environment variable that cannot be parsed: the SDK's `failure` does not name it."""
    if isinstance(failure, UnicodeDecodeError):
        return ["The file .env, from which `--config ENV` takes settings, is not UTF-8 text."]
    sentences = []
    for name, value in settings_in_environment().items():
        types = schema["properties"].get(name, {}).get("type", ())
        is_names = "array" in types and not value.lstrip().startswith("[")  # separated by commas
        if is_names or not any(kind in types for kind in ("array", "integer", "object")):
            continue
        try:
            (int if "integer" in types else json.loads)(value)
        except ValueError:
            must_be = MUST_BE.get(name, "JSON" if "object" in types else "a whole number")
            sentences.append(f"`{name}` ({PREFIX}{name.upper()} in the environment) must be {must_be}.")
    return sentences


def warn_of_unknown(names: Collection[str], schema: Mapping[str, Any]) -> None:
    """Log a warning for each name that is no setting, with the nearest one."""
    known = schema["properties"]
    for name in names:
        if name not in known and _SETTING_NAME.fullmatch(name):
            nearest = _nearest(name.casefold(), known)
            hint = f": did you mean `{nearest}`?" if nearest else "."
            logger.warning("`%s` is not a setting of this tap, and is ignored%s", name, hint)


def _nearest(name: str, known: Collection[str]) -> str | None:
    """Return the setting that is probably meant: one spelled alike, or one that contains the word: `bots`, `key`."""
    of_word = [each for each in known if name.rstrip("s") in [word.rstrip("s") for word in each.split("_")]]
    return next(iter([*get_close_matches(name, known, n=1, cutoff=0.7), *of_word]), None)
