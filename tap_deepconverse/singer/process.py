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

from singer_sdk.exceptions import ConfigurationError
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter

from tap_deepconverse.singer.writer import PageWriter

if TYPE_CHECKING:
    from collections.abc import Callable

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
QUIET = {
    "urllib3": logging.ERROR,  # logs malformed headers, and URLs with cursors, which may hold parts of a record
    "singer_sdk.metrics": logging.WARNING,
    "singer_sdk.mapper": logging.INFO,  # logs at DEBUG the result of a filter for a record
}
"""The lowest level at which each library may log."""
SDK_FORMATTERS = (ConsoleFormatter, StructuredFormatter)


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
    except Exception as error:  # noqa: BLE001  a configuration may name any class; the message may quote it
        msg = (
            f"{CONFIG} in the environment must name a YAML or JSON file for Python's `logging.config.dictConfig`: "
            f"{os.environ.get(CONFIG)} cannot be used ({type(error.__cause__ or error).__name__})."
        )
        raise ConfigurationError(msg) from None
    logging.getLogger(NAME).disabled = False  # `disable_existing_loggers` is true by default
    if is_own:
        logging.getLogger().setLevel(level)  # Meltano's configuration has a level of its own
    return command


def quiet_libraries() -> None:
    """Keep libraries from logging cursors, records, and metrics of each burst of pages."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


def show_error(sentence: str) -> None:
    """Log an error, and write it to standard error too unless the SDK's own log is there."""
    logger = logging.getLogger(NAME)
    handlers = logging.getLogger().handlers
    if handlers:
        logger.error("%s", sentence)
    is_shown = any(isinstance(each.formatter, SDK_FORMATTERS) for each in handlers)
    if not (is_shown and logger.isEnabledFor(logging.ERROR)):
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(f"{sentence}\n")
            sys.stderr.flush()
