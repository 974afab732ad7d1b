"""Libraries that would log what must not be logged, made to keep it to themselves."""

from __future__ import annotations

import logging

QUIET = {
    # Logs URLs, with cursors that may tell of a record, and whatever stands in place of a header.
    "urllib3": logging.ERROR,
    # Logs, when debugging, what a filter has made of a record.
    "singer_sdk.mapper": logging.INFO,
}
"""The lowest level at which each may log."""


def keep_quiet() -> None:
    """Let no library log a cursor or what a record holds, at whatever level the tap itself logs."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
