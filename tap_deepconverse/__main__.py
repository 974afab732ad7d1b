"""The SDK's command line, with one sentence for each error."""

from __future__ import annotations

import logging
import sys
import traceback

import click
import requests
from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_deepconverse.singer.process import TerminatedError, end_on_signals, set_up_log, show_error
from tap_deepconverse.singer.writer import GOES_ON, forget_stdout, require_stdout
from tap_deepconverse.tap import TapDeepConverse

NO_FILE_NAME = "not a valid file path"  # it may be the settings, with the key

logger = logging.getLogger(TapDeepConverse.name)


def main() -> None:
    """Run `tap-deepconverse`. Errors end it with status 1.

    For a bug, the log shows where in the code it happened, but not the exception's message: that may quote a record.
    """
    sys.setswitchinterval(0.001)  # requests must not wait for the emitting thread: late ones may break the rate limit
    try:
        end_on_signals()
        require_stdout()
        status = set_up_log(lambda: TapDeepConverse.cli).main(standalone_mode=False)
        sys.stdout.flush()
    except TerminatedError as ending:
        is_test = any(argument.startswith("--test") for argument in sys.argv[1:])
        goes_on = "" if is_test else f" {GOES_ON}"
        logger.warning("Stopped by %s.%s", ending.signal_name, goes_on)
        raise
    except click.ClickException as error:
        if "{" not in error.format_message():
            error.show()
        else:
            show_error(f"{NO_FILE_NAME.capitalize()}.")
        status = error.exit_code
    except Exception as error:  # noqa: BLE001
        for sentence in explain(error):
            show_error(sentence)
        status = 1
    if status:
        forget_stdout()
    sys.exit(status)


def explain(error: Exception) -> list[str]:
    """Return why the run ended, in one sentence for each thing to fix."""
    if isinstance(error, ConfigValidationError):
        return list(error.errors)
    if isinstance(error, SingerSDKError):
        return str(error).splitlines()
    if isinstance(error, MemoryError):
        return ["Out of memory."]
    if isinstance(error, OSError) and error.strerror and not isinstance(error, requests.RequestException):
        if error.filename is None:
            return [f"{error.strerror}."]
        file = NO_FILE_NAME if "{" in str(error.filename) else f"'{error.filename}'"
        return [f"{error.strerror}: {file}."]
    places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return [*places, f"Unexpected {type(error).__name__}. Please report this bug with the lines above."]


if __name__ == "__main__":
    main()
