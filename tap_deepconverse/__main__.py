"""The command line: the SDK's own, with errors that a user can mend said in one sentence each."""

from __future__ import annotations

import logging
import os
import sys
import traceback

from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_deepconverse.tap import TapDeepConverse
from tap_deepconverse.termination import TerminatedError

logger = logging.getLogger(TapDeepConverse.name)


def main() -> None:
    """Run ``tap-deepconverse``.

    The SDK prints a traceback for whatever ends a run. Here what the user or the API can mend is logged
    as sentences, and for a defect the places in the code alone: an exception's own words may hold what
    a record holds. The run ends with status 1.
    """
    level = os.environ.get("TAP_DEEPCONVERSE_LOGLEVEL") or os.environ.get("LOGLEVEL") or "INFO"
    if level.upper() not in logging.getLevelNamesMapping():
        fail("TAP_DEEPCONVERSE_LOGLEVEL (or LOGLEVEL) in the environment must be DEBUG, INFO, WARNING or ERROR.")
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
            # The settings themselves may have been given in place of a file's name, the key among them.
            is_name = "{" not in str(error.filename)
            fail(f"{error.strerror}: {error.filename if is_name else 'what was given is no name of a file'}.")
        places = "".join(traceback.format_tb(error.__traceback__)).splitlines()
        fail(*places, f"A {type(error).__name__} that should not have come: please report it, with the lines above.")


def fail(*sentences: str) -> None:
    """Log what went wrong and end the process with status 1.

    Args:
        sentences: What went wrong and what to do about it, a log line each.

    Raises:
        SystemExit: Always.
    """
    for sentence in sentences:
        logger.error(sentence)
    sys.exit(1)


if __name__ == "__main__":
    main()
