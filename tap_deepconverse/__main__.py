"""The SDK's command line, with one sentence for each error."""

import os
import re
import sys
import traceback
from contextlib import suppress

import click
import requests
from singer_sdk.exceptions import SingerSDKError, SyncError

from tap_deepconverse.singer.process import TerminatedError, end_on_signals, ignore_signals, set_up_log, show_error
from tap_deepconverse.singer.writer import GOES_ON
from tap_deepconverse.tap import TapDeepConverse


def main() -> None:
    """Run `tap-deepconverse`. Errors end it with status 1, or 2 for a wrong command line."""
    sys.setswitchinterval(0.001)  # requests must not wait for the emitting thread: late ones may break the rate limit
    try:
        end_on_signals()
        if sys.stdout is None:
            msg = "Standard output is closed: the tap writes its messages there, for a target or a file."
            raise SyncError(msg)  # noqa: TRY301
        status = set_up_log(lambda: TapDeepConverse.cli).main(standalone_mode=False)
        sys.stdout.flush()
    except TerminatedError as ending:
        TapDeepConverse.logger.warning("Stopped by %s. %s", ending.signal_name, GOES_ON)
        raise
    except Exception as error:  # noqa: BLE001
        for sentence in explain(error):
            show_error(sentence)
        status = getattr(error, "exit_code", 1)
        with suppress(AttributeError, OSError):  # Python would write again at exit what could not be written
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        ignore_signals()
    sys.exit(status)


def explain(error: Exception) -> list[str]:
    """Return why the run ended, in one sentence for each thing to fix."""
    if isinstance(error, SingerSDKError):
        return str(error).splitlines()
    text = ""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        text = str(error)
    if text:  # what follows a brace are settings, with the key, in place of a file's name
        return [re.sub("'?{.*", "not a valid file path.", text, flags=re.DOTALL)]
    # Not the exception's message: it may quote a record.
    places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return [*places, f"Unexpected {type(error).__name__}. Please report this bug with the lines above."]


if __name__ == "__main__":
    main()
