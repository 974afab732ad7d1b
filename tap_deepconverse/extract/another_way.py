"""How else to read a window that cannot be read as it was planned. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_deepconverse.api.errors import CursorRejectedError, PageTooLargeError
from tap_deepconverse.extract.last_page import MissingCursorError
from tap_deepconverse.extract.windows import WindowRead

if TYPE_CHECKING:
    from tap_deepconverse.records.page import UnusableRecordError

UnreadableWindow = CursorRejectedError | PageTooLargeError | MissingCursorError


class ExtractionError(Exception):
    """A window of a bot cannot be read. The message says why, without the bot and the stream."""


def at_record(error: UnusableRecordError, page: str) -> ExtractionError:
    """Say which record it is that cannot be emitted, by its page."""
    return ExtractionError(f"record {error.position} of {page} {error.reason}")


def another_way(read: WindowRead, error: UnreadableWindow) -> tuple[str, list[WindowRead]]:
    """Say how else to read a window, in words for the log, and what to read instead.

    It is not documented whether a cursor may be followed with another number of records a page. So
    smaller pages begin anew, in halves of the window: then only a small part of it, around what
    is too large, comes to be read in the smallest pages.

    Raises:
        ExtractionError: If there is no other way.
    """
    if isinstance(error, CursorRejectedError):
        if read.is_second_time:
            how = "if the target is slower than a cursor lives, set `window_days` lower"
            msg = f"{error}, twice in {read.window}; {how}"
            raise ExtractionError(msg)
        how, instead = "from its beginning, once", [replace(read, is_second_time=True)]
    elif isinstance(error, MissingCursorError):
        if len(read.window.halves()) == 1:
            msg = f"{error}, in {read.window}; report it to DeepConverse"
            raise ExtractionError(msg)
        how = "in halves, and so on until all pages are partly empty"
        instead = [replace(read, window=half, expected=0) for half in read.window.halves()]
    else:
        if read.page_size == 1:
            msg = f"{error}, not even one of a single record, in {read.window}; report it to DeepConverse if it stays"
            raise ExtractionError(msg)
        size = read.page_size // 2
        how = f"in halves, in pages of {size} records; if this comes often, set `page_size` to that"
        instead = [WindowRead(half, size) for half in read.window.halves()]
    return how, instead
