"""The process that the tap runs in: files of the command line, signals, and the log."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click
import msgspec
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter

from tap_deepconverse.singer.writer import PageWriter

LEVEL = "TAP_DEEPCONVERSE_LOGLEVEL"
QUIET = {
    "urllib3": logging.ERROR,  # logs malformed headers, and URLs with cursors, which may hold parts of a record
    "singer_sdk.metrics": logging.WARNING,  # logs metrics of each burst of pages
    "singer_sdk.mapper": logging.INFO,  # logs at DEBUG the result of a filter for a record
}

_is_command = threading.Event()


def json_object(data: bytes, option: str) -> dict[str, Any]:
    """Parse what the file of a command line option holds; raise `ConfigurationError` if it is no JSON object."""
    try:
        return msgspec.convert(json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once), dict[str, Any])
    except (msgspec.ValidationError, RecursionError, ValueError) as error:  # whose words repeat nothing of the file
        msg = f"The file given as `{option}` must hold one JSON object in UTF-8 ({error})."
        raise ConfigurationError(msg) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a name is there twice, of which only the last would count"
        raise ValueError(msg)
    return found


class TerminatedError(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)
        self.signal_name = signal.Signals(signal_number).name


def end_on_signals() -> None:
    """Let signals end this process, the tap's own. A second signal does nothing; what hangs is ended by force."""
    _is_command.set()
    _on_signals(lambda number, _: stop(number, None))


def ignore_signals() -> None:
    """Let signals do nothing any more: one in Python's last steps would leave a traceback."""
    _on_signals(lambda *_: None)  # with SIG_IGN, Python logs one that is already on its way


def _on_signals(handler: Callable[[int, Any], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def stop(signal_number: int, writer: Any) -> None:
    """Raise what ends the tap, as soon as the writer, if it is a `PageWriter`, has no half-written message.

    That is a `TerminatedError`, or, for Ctrl-C in a process that only embeds the tap, a `KeyboardInterrupt`.
    """
    ending: BaseException = TerminatedError(signal_number)
    if _is_command.is_set():
        ignore_signals()
        # Seconds later, by force: the target may have stopped reading, or a request may hang.
        by_force = threading.Timer(5, os._exit, [128 + signal_number])
        by_force.daemon = True
        with suppress(RuntimeError):  # no more threads
            by_force.start()
    elif signal_number == signal.SIGINT:
        ending = KeyboardInterrupt()
    if isinstance(writer, PageWriter):
        writer.stop(ending)
    else:
        raise ending


def set_up_log(make_command: Callable[[], click.Command]) -> click.Command:
    """Set up logging and return the command: the SDK sets up logging while it makes the command."""
    logging.raiseExceptions = False  # no tracebacks if the log cannot be written
    for name in (LEVEL, "LOGLEVEL", "SINGER_SDK_LOG_CONFIG"):
        if not os.environ.get(name, "").strip():
            os.environ.pop(name, None)  # the SDK would use an empty one
    try:
        command = make_command()
        if LEVEL in os.environ:
            logging.getLogger().setLevel(os.environ[LEVEL].upper())  # Meltano's configuration has its own level
    except Exception as error:  # noqa: BLE001  a configuration may name any class; the message may quote it
        msg = (
            f"The log cannot be set up ({type(error.__cause__ or error).__name__}): in the environment, {LEVEL} "
            "and LOGLEVEL must be DEBUG, INFO, WARNING or ERROR, and SINGER_SDK_LOG_CONFIG must name a YAML or JSON "
            "file for Python's `logging.config.dictConfig`."
        )
        raise ConfigurationError(msg) from None
    finally:
        logging.getLogger("tap-deepconverse").disabled = False  # `disable_existing_loggers` is true by default
    return command


def quiet_libraries() -> None:
    """Keep libraries from logging data and metrics."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


def show_error(sentence: str) -> None:
    """Log an error, and write it to standard error too unless the SDK's own log is there."""
    logger = logging.getLogger("tap-deepconverse")
    is_logged = logger.hasHandlers() and logger.isEnabledFor(logging.ERROR)
    if is_logged:
        logger.error("%s", sentence)
    formatters = [each.formatter for each in logging.getLogger().handlers]
    if not (is_logged and any(isinstance(each, ConsoleFormatter | StructuredFormatter) for each in formatters)):
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(f"{sentence}\n")
            sys.stderr.flush()
