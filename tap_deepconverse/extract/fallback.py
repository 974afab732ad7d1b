"""Finds another way to read a window that cannot be read as planned. Pure.

One rule for all of these: the window is split, down to windows of one page, which need no cursor.
"""

import math
from dataclasses import dataclass, replace

from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.api.errors import CursorRejectedError, MayBeTooLargeError, PageTooLargeError
from tap_deepconverse.extract.window import Reading
from tap_deepconverse.records.page import Page


class ExtractionError(FatalSyncError):
    """A window of a bot cannot be read. The message says why, without the bot and the stream."""


class OddPagesError(Exception):
    """The pages of a window do not end, or the last one may not be the last. The message says why.

    Perhaps it `is_chance`: a window may hold as many records as full pages do.
    """

    def __init__(self, message: str, *, is_chance: bool = False) -> None:
        super().__init__(message)
        self.is_chance = is_chance


UNREADABLE = (CursorRejectedError, OddPagesError, PageTooLargeError)
"""Errors for which there may be another way."""

SHORTEST = 10
"""Records. A shorter page is not taken for full: some APIs filter their pages after they have cut them."""
A_ROUND_NUMBER, SMALLER_ROUND_NUMBER = 1000, 100
"""Records. Where an API returns so many to a query at most, or a multiple, the last page need not be a full one. The
smaller number is for queries of several pages."""


@dataclass
class FullPage:
    """How many records a full page of an endpoint holds: as many as the longest page that came with a cursor.

    A server may return fewer records than `per_page` asks for.

    Attributes:
        asked: Records to ask for: the setting.
        longest: Records of the longest page that came with a cursor, or 0.
        pages: Pages of the stream that have come.
        most: The most records that a query has returned, on all of its pages.
        largest: Bytes of the largest page.
        keyless: Records of the longest page that came without the key of a cursor.
    """

    asked: int
    longest: int = 0
    pages: int = 0
    most: int = 0
    largest: int = 1
    keyless: int = 0

    @property
    def size(self) -> int:
        """Records in a full page: all that was asked for, until a page shows otherwise."""
        return self.longest or self.asked

    def take(self, page: Page, reading: Reading) -> None:
        """Learn from a page, the latest of its window.

        Raises:
            OddPagesError: If it comes as the last, but more records may follow.
        """
        held, records = len(page.data), sum(reading.sizes)
        is_of_usual_size = reading.page_size >= self.asked
        self.pages += 1
        self.largest = max(self.largest, page.size)
        self.most = max(self.most, records)
        if page.cursor is not None:
            if held >= min(SHORTEST, reading.page_size) and is_of_usual_size:
                self.longest = max(self.longest, held)
            return
        full = min(self.size, reading.page_size)
        is_long = reading.window.length > 1
        is_in_one = math.isinf(reading.expected)  # a window that holds whatever comes
        # Perhaps the cursor has another name, and the server cuts its pages short: then none is longer.
        is_cut = held > 1 and held >= self.keyless and not self.longest and is_long
        self.keyless = max(self.keyless, 0 if page.has_cursor_key else held)
        if not page.has_cursor_key and (held >= full or is_cut) and not is_in_one:
            msg = f"a page of {held} records has no `cursor` (its keys: {page.keys}), so more may follow"
            raise OddPagesError(msg)
        # The API may return only so many records a query, such as 10,000, and more follow without a cursor: but not
        # if another query has returned more.
        is_most = records == self.most or not is_of_usual_size
        sizes = [size for size in reading.sizes if size]  # the last page of such a query may be empty
        ends_full = len(set(sizes)) == 1 and (len(sizes) > 1 or (sizes[-1] >= full and is_of_usual_size))
        is_round = records % (SMALLER_ROUND_NUMBER if len(sizes) > 1 else A_ROUND_NUMBER) == 0
        if is_in_one and records % A_ROUND_NUMBER:
            return
        if records and is_long and is_most and (ends_full or is_round):
            msg = f"page {len(reading.sizes)} ends the window, but the API may return at most {records} records a query"
            if is_in_one:
                msg += ", and it does not keep to windows: so what else there is cannot be read; please report this"
                raise ExtractionError(msg)
            raise OddPagesError(msg, is_chance=True)


def fallback(reading: Reading, error: Exception, full: FullPage) -> tuple[str, list[Reading]]:
    """Return how to read a failed window, in words for the log, and what to read instead; or raise `ExtractionError`.

    Whether a cursor works with another page size is not documented, so a window is read again from its first page.
    """
    is_smaller = reading.page_size < full.asked
    do_others_come = full.pages > reading.pages_before
    if isinstance(error, MayBeTooLargeError) and is_smaller and not do_others_come:
        return "with more patience: smaller pages fail too", [replace(reading, is_patient=True)]
    is_too_large = isinstance(error, PageTooLargeError)
    size = max(1, reading.page_size // 2) if is_too_large else reading.page_size
    parts = reading.window.parts(2)
    if len(parts) == 1 and size == reading.page_size:
        where = f"in {reading.window}"
        msg = f"{error}, {where}; there is no other way to read it: if it persists, report it to DeepConverse"
        raise ExtractionError(msg)
    smaller = f", in pages of {size} records; if this happens often, set `page_size` to that number"
    half = reading.expected / 2
    part = replace(reading, page_size=size, expected=half)
    return f"in halves{smaller if is_too_large else ''}", [replace(part, window=window) for window in parts]
