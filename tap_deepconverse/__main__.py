"""The SDK's command line, with one sentence for each error."""

from __future__ import annotations

import logging
import sys
import traceback

import click
import requests
from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_deepconverse.api import sentences
from tap_deepconverse.singer.log import set_up, show_error
from tap_deepconverse.singer.signals import TerminatedError
from tap_deepconverse.singer.writer import forget_stdout, require_stdout
from tap_deepconverse.tap import InvalidSettingsError, TapDeepConverse

logger = logging.getLogger(TapDeepConverse.name)


def main() -> None:
    """Run `tap-deepconverse`. Errors end it with status 1.

    For a bug, the log shows where in the code it happened, but not the exception's message: that may quote a record.
    """
    sys.setswitchinterval(0.001)  # requests must not wait for the emitting thread: late ones may break the rate limit
    try:
        require_stdout()
        status = set_up(lambda: TapDeepConverse.cli).main(standalone_mode=False)
        sys.stdout.flush()
    except TerminatedError as ending:
        is_test = any(argument.startswith("--test") for argument in sys.argv[1:])
        goes_on = "" if is_test else f" {sentences.GOES_ON.capitalize()}."
        logger.warning("Stopped by %s.%s", ending.signal_name, goes_on)
        raise
    except click.ClickException as error:
        if "{" not in error.format_message():
            error.show()
        else:  # the value may be the settings, with the key, instead of a file name
            show_error(sentences.NO_FILE_NAME().capitalize() + ".")
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
    if isinstance(error, InvalidSettingsError | ConfigValidationError):
        return list(error.errors)
    if isinstance(error, SingerSDKError):
        return [str(error)]
    if isinstance(error, MemoryError):
        return [sentences.LOCAL_WITHOUT_NAME(reason="Out of memory")]
    if isinstance(error, OSError) and error.strerror and not isinstance(error, requests.RequestException):
        if error.filename is None:
            return [sentences.LOCAL_WITHOUT_NAME(reason=error.strerror)]
        is_name = "{" not in str(error.filename)
        return [sentences.LOCAL(reason=error.strerror, file=error.filename if is_name else sentences.NO_FILE_NAME())]
    places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return [*places, sentences.BUG(error=type(error).__name__)]


if __name__ == "__main__":
    main()
