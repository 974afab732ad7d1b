"""Finds another way to read a window that cannot be read as planned. Pure."""

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
    """Return an error that names the record that cannot be emitted, by its page."""
    return ExtractionError(f"record {error.position} of {page} {error.reason}")


def another_way(read: WindowRead, error: UnreadableWindow) -> tuple[str, list[WindowRead]]:
    """Return how to read a failed window, in words for the log, and what to read instead.

    Whether a cursor works with another page size is not documented. So smaller pages start again from the first page,
    in halves of the window: only the part around the large record is then read in the smallest pages.

    Raises:
        ExtractionError: If there is no other way.
    """
    if isinstance(error, CursorRejectedError):
        if read.is_second_time:
            how = "if cursors expire because the target is slow, set `window_days` lower"
            msg = f"{error}, twice in {read.window}; {how}"
            raise ExtractionError(msg)
        how, instead = "from its beginning, once", [replace(read, is_second_time=True)]
    elif isinstance(error, MissingCursorError):
        if len(read.window.halves()) == 1:
            msg = f"{error}, in {read.window}; report it to DeepConverse"
            raise ExtractionError(msg)
        how = "in halves, until no page is full"
        instead = [replace(read, window=half, expected=0) for half in read.window.halves()]
    else:
        if read.page_size == 1:
            msg = f"{error}, even with one record, in {read.window}; if this persists, report it to DeepConverse"
            raise ExtractionError(msg)
        size = read.page_size // 2
        how = f"in halves, in pages of {size} records; if this happens often, set `page_size` to that number"
        instead = [WindowRead(half, size) for half in read.window.halves()]
    return how, instead
