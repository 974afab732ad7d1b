"""Sets up logging as the environment says. Secrets and records are never logged; errors always reach standard error."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import suppress
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import yaml
from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.api.sentences import LOG_CONFIG, LOG_LEVEL

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

NAME = "tap-deepconverse"
METRICS = "singer_sdk.metrics"
QUIET = {
    "urllib3": logging.ERROR,  # logs malformed headers, and URLs with cursors, which may hold parts of a record
    "singer_sdk.mapper": logging.INFO,  # logs at DEBUG the result of a filter for a record
}
"""The lowest level at which each library may log."""

OWN_LEVEL, ANY_LEVEL, CONFIG = "TAP_DEEPCONVERSE_LOGLEVEL", "LOGLEVEL", "SINGER_SDK_LOG_CONFIG"


class UnusableLoggingError(ConfigurationError):
    """The log level or logging configuration in the environment cannot be used."""


def set_up(make_command: Callable[[], click.Command]) -> click.Command:
    """Set up logging and return the command: the SDK sets up logging while it makes the command.

    Raises:
        UnusableLoggingError: If the level or the configuration in the environment cannot be used.
    """
    logging.raiseExceptions = False  # no tracebacks if the log cannot be written
    for name in (OWN_LEVEL, ANY_LEVEL, CONFIG):
        if not os.environ.get(name, "").strip():
            os.environ.pop(name, None)  # the SDK would use an empty level
    level = (os.environ.get(OWN_LEVEL) or os.environ.get(ANY_LEVEL) or "INFO").strip().upper()
    if level not in logging.getLevelNamesMapping():
        raise UnusableLoggingError(LOG_LEVEL())
    is_own = OWN_LEVEL in os.environ
    os.environ[OWN_LEVEL] = level
    try:
        command = make_command()
    except Exception as error:  # noqa: BLE001  a configuration may name any class
        reason = _reason_against_config(error)
        raise UnusableLoggingError(LOG_CONFIG(path=os.environ.get(CONFIG), reason=reason)) from None
    logger = logging.getLogger(NAME)
    logger.disabled = False  # `disable_existing_loggers` is true by default
    if is_own:
        logging.getLogger().setLevel(level)  # Meltano's configuration has a level of its own
    return command


def _reason_against_config(error: Exception) -> str:
    """Return what is wrong, without quoting the file: it may be the settings, with the key."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}: {cause.filename}" if cause is not error else cause.strerror
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        mark = getattr(error, "problem_mark", None)
        return f"neither YAML nor JSON, see line {mark.line + 1}" if mark else "neither YAML nor JSON"
    # Python's message names a part of the configuration, such as "Unable to configure handler 'console'".
    return str(error) if type(error) is ValueError and str(error).startswith("Unable to configure") else "other keys"


def keep_quiet() -> None:
    """Keep libraries from logging cursors and records, whatever the level of the tap's own log."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


def keep_metrics_quiet() -> None:
    """Turn metrics off, which the SDK has just turned on, unless the logging configuration names their logger."""
    config: dict[str, Any] = {}
    with suppress(Exception):
        config = yaml.safe_load(Path(os.environ[CONFIG]).read_text(encoding="utf-8"))["loggers"]
    logger = logging.getLogger(METRICS)
    if METRICS not in config:
        logger.setLevel(logging.WARNING)
    elif level := (config[METRICS] or {}).get("level"):
        logger.setLevel(level)


def show_error(sentence: str) -> None:
    """Log an error, and make sure that it is on standard error once, whatever the logging configuration."""
    logger = logging.getLogger(NAME)
    shown = io.StringIO()
    handlers = [handler for handler in _handlers_of(logger) if _writes_to_stderr(handler)]
    streams = [handler.setStream(shown) for handler in handlers]
    if logger.hasHandlers():  # otherwise Python itself would write it to standard error
        logger.error(sentence)
    for handler, stream in zip(handlers, streams, strict=True):
        handler.setStream(stream)
    text = shown.getvalue()
    if sentence not in text and json.dumps(sentence)[1:-1] not in text:
        text += f"{sentence}\n"
    with suppress(OSError, ValueError):
        if sys.stderr:
            sys.stderr.write(text)
            sys.stderr.flush()


def _handlers_of(logger: logging.Logger) -> set[logging.Handler]:
    handlers = set(logger.handlers)
    if logger.propagate and logger.parent:
        handlers |= _handlers_of(logger.parent)
    targets = {handler.target for handler in handlers if isinstance(handler, MemoryHandler)}
    return handlers | {target for target in targets if target}


def _writes_to_stderr(handler: logging.Handler) -> TypeGuard[logging.StreamHandler[Any]]:
    if not isinstance(handler, logging.StreamHandler):
        return False
    with suppress(AttributeError, OSError, ValueError):
        return handler.stream in {sys.stderr, sys.__stderr__} or os.path.sameopenfile(handler.stream.fileno(), 2)
    return False
