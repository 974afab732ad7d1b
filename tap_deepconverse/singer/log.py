"""Keeps libraries from logging what must not be logged."""

from __future__ import annotations

import logging

QUIET = {
    "urllib3": logging.ERROR,  # logs URLs with cursors, which may tell of a record, and malformed headers
    "singer_sdk.mapper": logging.INFO,  # logs at DEBUG what a filter has made of a record
}
"""The lowest level at which each may log."""


def keep_quiet() -> None:
    """Let no library log a cursor or what a record holds, at whatever level the tap itself logs."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
