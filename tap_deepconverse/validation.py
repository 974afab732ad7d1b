"""All that is checked of the settings, whichever module knows how, before anything is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tap_deepconverse.api.sentences import DOTENV, UNKNOWN_SETTING
from tap_deepconverse.settings import CONFIG_JSONSCHEMA, problems, settings_in, unknown_settings, unreadable_variables
from tap_deepconverse.singer.batch import batch_problems
from tap_deepconverse.singer.stream_maps import stream_map_problems

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping


def config_problems(
    config: Mapping[str, Any], fields: Mapping[str, Collection[str]], *, is_env_read: bool
) -> list[str]:
    """Say in a sentence each what is wrong with the settings; nothing if they can be used.

    Args:
        config: The settings.
        fields: The fields of each stream, which stream maps may name.
        is_env_read: Whether the environment's variables are among them.
    """
    sentences = unreadable_variables(os.environ, CONFIG_JSONSCHEMA) if is_env_read else []
    sentences = sentences or problems(config, CONFIG_JSONSCHEMA)
    if not sentences and (batch_config := config.get("batch_config")):
        sentences = batch_problems(batch_config)
    if not sentences and (stream_maps := config.get("stream_maps")):
        sentences = stream_map_problems(stream_maps, fields)
    return sentences


def warn_of_unknown(config: Mapping[str, Any], logger: logging.Logger, *, is_env_read: bool) -> None:
    """Log a warning of each setting that the tap does not have, with the nearest that it has."""
    given = {*config, *(settings_in(os.environ) if is_env_read else ())}
    for name, nearest in unknown_settings(given, CONFIG_JSONSCHEMA).items():
        logger.warning(UNKNOWN_SETTING(name=name, nearest=f": did you mean `{nearest}`?" if nearest else "."))


def reasons_for(error: Exception, config: Mapping[str, Any], *, is_env_read: bool) -> list[str]:
    """Say what is wrong with the settings where the SDK fails over them; nothing if it is not they."""
    if isinstance(error, UnicodeDecodeError):
        return [DOTENV()]
    if isinstance(error, ValueError):
        return unreadable_variables(os.environ, CONFIG_JSONSCHEMA) if is_env_read else []
    is_in_maps = "stream_maps" in {*config, *(settings_in(os.environ) if is_env_read else ())}
    return ["`stream_maps` is not of the form that the SDK's documentation describes."] if is_in_maps else []
