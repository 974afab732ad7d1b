"""The SDK's command line, with one sentence for each error."""

from __future__ import annotations

import re
import sys
import traceback

import click
import requests
from singer_sdk.exceptions import SingerSDKError

from tap_deepconverse.singer.process import TerminatedError, end_on_signals, ignore_signals, set_up_log, show_error
from tap_deepconverse.singer.writer import GOES_ON, forget_stdout, require_stdout
from tap_deepconverse.tap import TapDeepConverse


def main() -> None:
    """Run `tap-deepconverse`. Errors end it with status 1."""
    sys.setswitchinterval(0.001)  # requests must not wait for the emitting thread: late ones may break the rate limit
    try:
        end_on_signals()
        require_stdout()
        status = set_up_log(lambda: TapDeepConverse.cli).main(standalone_mode=False)
        sys.stdout.flush()
    except TerminatedError as ending:
        goes_on = "" if "--test" in " ".join(sys.argv) else f" {GOES_ON}"
        TapDeepConverse.logger.warning("Stopped by %s.%s", ending.signal_name, goes_on)
        raise
    except Exception as error:  # noqa: BLE001
        for sentence in explain(error):
            show_error(sentence)
        status = getattr(error, "exit_code", 1)
    finally:
        ignore_signals()
    if status:
        forget_stdout()
    sys.exit(status)


def explain(error: Exception) -> list[str]:
    """Return why the run ended, in one sentence for each thing to fix."""
    if isinstance(error, SingerSDKError):
        return str(error).splitlines()
    if isinstance(error, click.ClickException):
        return [_without_settings(error.format_message())]
    if isinstance(error, OSError) and error.strerror and not isinstance(error, requests.RequestException):
        return [_without_settings(f"{error.strerror}: '{error.filename}'." if error.filename else f"{error.strerror}.")]
    if isinstance(error, MemoryError):
        return ["Out of memory."]
    # Not the exception's message: it may quote a record.
    places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return [*places, f"Unexpected {type(error).__name__}. Please report this bug with the lines above."]


def _without_settings(text: str) -> str:
    """Cut what follows a brace: settings, with the key, in place of a file's name."""
    return re.sub("'?{.*", "not a valid file path.", text, flags=re.DOTALL)


if __name__ == "__main__":
    main()
