"""Decides whether a page is the last of its window: if the API says so, or if it is not full."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_deepconverse.extract.span import BotSpan
    from tap_deepconverse.extract.windows import WindowRead
    from tap_deepconverse.records.page import Page


class MissingCursorError(Exception):
    """A page that may not be the last has no `cursor`. The message lists its keys."""


class LastPage:
    """Learns from a stream's pages in this run how many records a full page holds.

    A `cursor` of null is the documented end. A page without the key is the last if it is not full (inferred). A server
    may return fewer records per page than requested, so a page as long as any before it counts as full.
    """

    def __init__(self) -> None:
        self._longest = self._longest_with_more = 0
        self._has_warned = False

    def problem(self, page: Page, read: WindowRead, span: BotSpan) -> MissingCursorError | None:
        """Record a page; return an error if it lacks the key `cursor` and may not be the last."""
        records = len(page.data)
        is_full = records >= min(read.page_size, self._longest_with_more or read.page_size)
        may_be_full = records > 1 and records >= self._longest and read.window.end - read.window.start > 1
        self._longest = max(self._longest, records)
        if page.cursor is not None:
            self._longest_with_more = max(self._longest_with_more, records)
        if page.cursor is not None or page.has_cursor_key:
            return None
        if is_full or may_be_full:
            msg = f"a page of {records} records has no `cursor` (its keys: {page.keys}), so more may follow"
            return MissingCursorError(msg)
        if not self._has_warned:
            self._has_warned = True
            what = "a page that is not full counts as the last"
            span.logger.warning("%s: pages come without `cursor` (their keys: %s); %s", span.name, page.keys, what)
        return None
