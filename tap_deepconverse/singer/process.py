"""The process that the tap runs in: files of the command line, signals, and the log."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter

from tap_deepconverse.singer.writer import PageWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click

NAME = "tap-deepconverse"


# --- Files ---


def json_object(path: str | None, option: str) -> dict[str, Any] | None:
    """Read a JSON object from a file, once, as it may be a pipe; `-` is standard input, and None stays None.

    Raises:
        ConfigurationError: If there is no JSON object in it.
    """
    if path is None:
        return None
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        value = json.loads(data.decode("utf-8-sig"))
        if isinstance(value, dict):
            return value
        what = "does not hold a JSON object."
    except (RecursionError, ValueError) as error:  # whose words repeat nothing of the file
        what = f"is not JSON in UTF-8 ({error})."
    hint = " In a first run, leave the option out; of several states, keep only the last line."
    msg = f"The file given as `{option}` {what}{hint if option == '--state' else ''}"
    raise ConfigurationError(msg)


# --- Signals ---

SECONDS_TO_END = 5

_is_command = threading.Event()


class TerminatedError(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)
        self.signal_name = signal.Signals(signal_number).name


def end_on_signals() -> None:
    """Let signals end this process, the tap's own. A second signal does nothing; what hangs is ended by force."""
    _is_command.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stop(number, None))


def stop(signal_number: int, writer: Any) -> None:
    """Stop as soon as the writer, if it is a `PageWriter`, has no half-written message.

    Raises:
        TerminatedError: At once, or after the current write.
        KeyboardInterrupt: The same, for Ctrl-C in a process that only embeds the tap.
    """
    ending: BaseException = TerminatedError(signal_number)
    if _is_command.is_set():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # with SIG_IGN, Python logs one that is already on its way
        # The target may have stopped reading, or a request may hang.
        by_force = threading.Timer(SECONDS_TO_END, os._exit, [128 + signal_number])
        by_force.daemon = True
        with suppress(RuntimeError):  # no more threads
            by_force.start()
    elif signal_number == signal.SIGINT:
        ending = KeyboardInterrupt()
    if isinstance(writer, PageWriter):
        writer.stop(ending)
    else:
        raise ending


# --- The log ---

OWN_LEVEL, ANY_LEVEL, CONFIG = "TAP_DEEPCONVERSE_LOGLEVEL", "LOGLEVEL", "SINGER_SDK_LOG_CONFIG"
METRICS = "singer_sdk.metrics"
QUIET = {
    "urllib3": logging.ERROR,  # logs malformed headers, and URLs with cursors, which may hold parts of a record
    "singer_sdk.mapper": logging.INFO,  # logs at DEBUG the result of a filter for a record
}
"""The lowest level at which each library may log."""


def set_up_log(make_command: Callable[[], click.Command]) -> click.Command:
    """Set up logging and return the command: the SDK sets up logging while it makes the command.

    Raises:
        ConfigurationError: If the level or the configuration in the environment cannot be used.
    """
    logging.raiseExceptions = False  # no tracebacks if the log cannot be written
    for name in (OWN_LEVEL, ANY_LEVEL, CONFIG):
        if not os.environ.get(name, "").strip():
            os.environ.pop(name, None)  # the SDK would use an empty level
    level = (os.environ.get(OWN_LEVEL) or os.environ.get(ANY_LEVEL) or "INFO").strip().upper()
    if level not in logging.getLevelNamesMapping():
        msg = f"{OWN_LEVEL} (or {ANY_LEVEL}) in the environment must be DEBUG, INFO, WARNING or ERROR."
        raise ConfigurationError(msg)
    is_own = OWN_LEVEL in os.environ
    os.environ[OWN_LEVEL] = level
    try:
        command = make_command()
    except Exception as error:  # noqa: BLE001  a configuration may name any class
        msg = (
            f"{CONFIG} in the environment must name a YAML or JSON file for Python's `logging.config.dictConfig`: "
            f"{os.environ.get(CONFIG)} cannot be used ({_reason(error)})."
        )
        raise ConfigurationError(msg) from None
    logging.getLogger(NAME).disabled = False  # `disable_existing_loggers` is true by default
    if is_own:
        logging.getLogger().setLevel(level)  # Meltano's configuration has a level of its own
    return command


def _reason(error: Exception) -> str:
    """Return what is wrong with a logging configuration, without quoting it: it may be the settings, with the key."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror if cause is error else f"{cause.strerror}: {cause.filename}"
    # Python's message names a part of the configuration, such as "Unable to configure handler 'console'".
    return str(error) if str(error).startswith("Unable to configure") else type(error).__name__


def quiet_libraries() -> None:
    """Keep libraries from logging cursors, records, and metrics that the logging configuration does not name."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))
    metrics: Any = {"level": "WARNING"}
    with suppress(Exception):
        metrics = yaml.safe_load(Path(os.environ[CONFIG]).read_text(encoding="utf-8"))["loggers"][METRICS]
    logging.getLogger(METRICS).setLevel((metrics or {}).get("level", "NOTSET"))


def show_error(sentence: str) -> None:
    """Write an error to standard error, and log it to whatever else the log goes to: files, for example."""
    record = logging.makeLogRecord({"name": NAME, "levelno": logging.ERROR, "levelname": "ERROR", "msg": sentence})
    text = sentence
    for handler in _handlers(logging.getLogger(NAME)):
        if not _writes_to_stderr(handler):
            if record.levelno >= handler.level:
                handler.handle(record)
        elif isinstance(handler.formatter, ConsoleFormatter | StructuredFormatter):
            text = handler.format(record)
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    yield from logger.handlers
    if logger.propagate and logger.parent:
        yield from _handlers(logger.parent)


def _writes_to_stderr(handler: Any) -> bool:
    stream = getattr(getattr(handler, "target", handler), "stream", None)  # of a `MemoryHandler`, its target's
    if stream is None:
        return False
    with suppress(AttributeError, OSError, ValueError):
        return stream in {sys.stderr, sys.__stderr__} or os.path.sameopenfile(stream.fileno(), 2)
    return False
