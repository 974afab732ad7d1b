"""Finds another way to read a window that cannot be read as planned. Pure.

One rule for all of these: the window is split, down to windows of one page, which need no cursor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.api.errors import CursorRejectedError, MayBeTooLargeError, PageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_deepconverse.extract.window import WindowRead
    from tap_deepconverse.records.page import Page


class ExtractionError(FatalSyncError):
    """A window of a bot cannot be read. The message says why, without the bot and the stream."""


class EndlessPagesError(Exception):
    """The pages of a window do not end: a cursor, or a page, comes again."""


class MissingRecordsError(Exception):
    """The last page of a window may not be the last. The message says why."""


UNREADABLE = (CursorRejectedError, EndlessPagesError, MissingRecordsError, PageTooLargeError)
"""Errors for which there may be another way."""

SHORTEST = 10
"""Records. A shorter page is not taken for full: some APIs filter their pages after they have cut them."""


@dataclass
class FullPage:
    """How many records a full page of an endpoint holds: as many as the longest page that came with a cursor.

    A server may return fewer records than `per_page` asks for.

    Attributes:
        asked: Records to ask for: the setting.
        size: Records in a full page.
        is_known: Whether a page has shown that.
        pages: Pages of the stream that have come.
    """

    asked: int
    size: int = 0
    is_known: bool = False
    pages: int = 0

    def __post_init__(self) -> None:
        """Take a page for full if it has all that was asked for, until one shows otherwise."""
        self.size = self.size or self.asked

    def learn(self, page: Page, read: WindowRead) -> None:
        """Take note of a page."""
        self.pages += 1
        records = len(page.data)
        if page.cursor is None or records < min(SHORTEST, read.page_size) or read.page_size < self.asked:
            return
        self.size = max(self.size, records) if self.is_known else records
        self.is_known = True

    def require_end(self, page: Page, read: WindowRead, sizes: Sequence[int]) -> None:
        """Check that a page without a cursor can be the last of its window.

        Args:
            page: The page.
            read: Its window.
            sizes: How many records each page of the window held, this one included.

        Raises:
            MissingRecordsError: If more records may follow.
        """
        if page.cursor is not None or math.isinf(read.expected):  # a window that holds whatever comes
            return
        held, records = len(page.data), sum(sizes)
        is_full = held >= min(self.size, read.page_size)
        if not page.has_cursor_key and (is_full or (held > 1 and not self.is_known and read.window.length > 1)):
            msg = f"a page of {held} records has no `cursor` (its keys: {page.keys}), so more may follow"
            raise MissingRecordsError(msg)
        if len(sizes) > 1 and len(set(sizes)) == 1 and held and read.window.length > 1:
            msg = f"the last of {len(sizes)} pages is full, so the API may return at most {records} records a query"
            raise MissingRecordsError(msg)


def fallback(read: WindowRead, error: Exception, *, others_come: bool) -> tuple[str, list[WindowRead]]:
    """Return how to read a failed window, in words for the log, and what to read instead.

    Whether a cursor works with another page size is not documented, so a window is read again from its first page.

    Args:
        read: The window.
        error: One of `UNREADABLE`.
        others_come: Whether other pages came while this one failed. If not, it may be an outage.

    Raises:
        ExtractionError: If there is no other way.
    """
    if isinstance(error, MayBeTooLargeError) and read.is_smaller and not others_come:
        return "with more patience: smaller pages fail too", [replace(read, is_patient=True)]
    is_too_large = isinstance(error, PageTooLargeError)
    size = max(1, read.page_size // 2) if is_too_large else read.page_size
    parts = read.window.parts(2)
    if len(parts) == 1 and size == read.page_size:
        msg = f"{error}, in {read.window}; there is no other way to read it: if it persists, report it to DeepConverse"
        raise ExtractionError(msg)
    smaller = f", in pages of {size} records; if this happens often, set `page_size` to that number"
    part = replace(read, page_size=size, expected=read.expected / 2, is_smaller=is_too_large, is_patient=size == 1)
    return f"in halves{smaller if is_too_large else ''}", [replace(part, window=window) for window in parts]
