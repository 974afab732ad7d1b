"""The SDK's command line, with one sentence for each error that a user can fix."""

from __future__ import annotations

import logging
import os
import sys
import traceback

from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_deepconverse.singer.signals import TerminatedError
from tap_deepconverse.tap import TapDeepConverse

logger = logging.getLogger(TapDeepConverse.name)


def main() -> None:
    """Run ``tap-deepconverse``; errors end it with status 1.

    For a bug, the places in the code are logged and not the exception's message, which may quote a record.
    """
    level = os.environ.get("TAP_DEEPCONVERSE_LOGLEVEL") or os.environ.get("LOGLEVEL") or "INFO"
    if level.upper() not in logging.getLevelNamesMapping():
        fail("TAP_DEEPCONVERSE_LOGLEVEL (or LOGLEVEL) in the environment must be DEBUG, INFO, WARNING or ERROR.")
    sys.setswitchinterval(0.001)  # a request that waits for the emitting thread is late, which may break the rate limit
    try:
        TapDeepConverse.cli()
    except TerminatedError as ending:
        logger.warning("Stopped by %s. The next run goes on from the last checkpoint.", ending.signal_name)
        raise
    except ConfigValidationError as error:
        fail(*error.errors)
    except SingerSDKError as error:
        fail(str(error))
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.filename:
            # Somebody may have given the settings, with the key, in place of a file's name.
            is_name = "{" not in str(error.filename)
            fail(f"{error.strerror}: {error.filename if is_name else 'what was given is no name of a file'}.")
        places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
        fail(*places, f"A {type(error).__name__} that should not have come: please report it, with the lines above.")


def fail(*sentences: str) -> None:
    """Log each sentence as an error, and end the process with status 1."""
    for sentence in sentences:
        logger.error(sentence)
    sys.exit(1)


if __name__ == "__main__":
    main()
