"""Checks all settings before anything is read, with the checks of every module."""

from __future__ import annotations

import json
import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tap_deepconverse.api.sentences import DOTENV, UNKNOWN_SETTING
from tap_deepconverse.settings import SETTINGS, problems
from tap_deepconverse.singer.batch import batch_problems
from tap_deepconverse.singer.stream_maps import stream_map_problems

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping

PREFIX = "TAP_DEEPCONVERSE_"
_SETTING_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


def config_problems(
    config: Mapping[str, Any], schema: Mapping[str, Any], fields: Mapping[str, Collection[str]], *, is_env_read: bool
) -> list[str]:
    """Return a sentence for each error in the settings; an empty list if there is none.

    Args:
        config: The settings.
        schema: JSON Schema of the configuration, with the settings that the SDK adds.
        fields: The fields of each stream, which stream maps may name.
        is_env_read: Whether settings also come from environment variables.
    """
    sentences = unreadable_variables(os.environ, schema) if is_env_read else []
    sentences = sentences or problems(config, schema)
    if not sentences and (batch_config := config.get("batch_config")):
        sentences = batch_problems(batch_config)
    if not sentences and (stream_maps := config.get("stream_maps")):
        sentences = stream_map_problems(stream_maps, fields)
    return sentences


def warn_of_unknown(
    config: Mapping[str, Any], schema: Mapping[str, Any], logger: logging.Logger, *, is_env_read: bool
) -> None:
    """Log a warning for each unknown setting, with the nearest known one."""
    for name, nearest in unknown_settings(_names_given(config, is_env_read=is_env_read), schema).items():
        logger.warning(UNKNOWN_SETTING(name=name, nearest=f": did you mean `{nearest}`?" if nearest else "."))


def reasons_for(
    error: Exception, config: Mapping[str, Any], schema: Mapping[str, Any], *, is_env_read: bool
) -> list[str]:
    """Return which settings made the SDK fail; an empty list if none did."""
    if isinstance(error, UnicodeDecodeError):
        return [DOTENV()]
    if isinstance(error, ValueError):
        return unreadable_variables(os.environ, schema) if is_env_read else []
    is_in_maps = "stream_maps" in _names_given(config, is_env_read=is_env_read)
    return ["`stream_maps` is not of the form that the SDK's documentation describes."] if is_in_maps else []


def _names_given(config: Mapping[str, Any], *, is_env_read: bool) -> set[str]:
    return {*config, *(settings_in(os.environ) if is_env_read else ())}


def unknown_settings(names: Iterable[str], schema: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the unknown settings, each with the nearest known one if there is one. Invalid names are skipped."""
    known = schema["properties"]
    unknown = [name for name in names if name not in known and _SETTING_NAME.fullmatch(name)]
    return {name: nearest_setting(name.casefold(), known) for name in unknown}


def nearest_setting(name: str, known: Collection[str]) -> str | None:
    """Return the setting that is probably meant: one spelled alike, or one that contains the word: `bots`, `key`."""
    of_word = [each for each in known if name.rstrip("s") in [word.rstrip("s") for word in each.split("_")]]
    return next(iter([*get_close_matches(name, known, n=1, cutoff=0.7), *of_word]), None)


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the environment, by name. The variables that Meltano adds have two underscores."""
    names = [name for name in environment if re.match(f"{PREFIX}[^_]", name) and name != f"{PREFIX}LOGLEVEL"]
    return {name.removeprefix(PREFIX).lower(): environment[name] for name in names}


def unreadable_variables(environment: Mapping[str, str], schema: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each environment variable that cannot be parsed: the SDK fails without naming it."""
    sentences = []
    given, must_be = settings_in(environment), {setting.property.name: setting.must_be for setting in SETTINGS}
    for name, property_schema in schema["properties"].items():
        types = property_schema["type"]
        if name not in given or {"string", "boolean"} & set(types):
            continue
        if "array" in types and not given[name].lstrip().startswith("["):
            continue  # names separated by commas
        try:
            (int if "integer" in types else json.loads)(given[name])
        except ValueError:
            kind = must_be[name] if "array" in types else "a whole number" if "integer" in types else "JSON"
            where = "" if "array" in types else f" ({PREFIX}{name.upper()} in the environment)"
            sentences.append(f"`{name}`{where} must be {kind}.")
    return sentences
