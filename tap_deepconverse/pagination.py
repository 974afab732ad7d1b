"""Follows the cursor of each response to the next page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalSyncError
from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

from tap_deepconverse.records.page import page_of

if TYPE_CHECKING:
    import requests


class RepeatedCursorError(FatalSyncError):
    """The API returned the same cursor twice: following it would never end."""


class CursorPaginator(BaseAPIPaginator[str | None]):
    """Follows the cursor of each response until there is none."""

    def __init__(self) -> None:
        super().__init__(None)
        self._seen: set[str] = set()

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        return True  # only a missing cursor is the end

    @override
    def get_next(self, response: requests.Response) -> str | None:
        """Return the next page's cursor, None at the end; raise `RepeatedCursorError`."""
        cursor = page_of(response).cursor
        if cursor in self._seen:
            msg = (
                f"the API returned the same cursor twice, after {self.count} pages, so the window cannot be read to "
                "its end; this is an API bug: run again, and if it persists, report it to DeepConverse"
            )
            raise RepeatedCursorError(msg)
        if cursor is not None:
            self._seen.add(cursor)
        return cursor
