"""Follows the cursor of each answer to the next page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalSyncError
from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

from tap_deepconverse.records.page import page_of

if TYPE_CHECKING:
    import requests


class RepeatedCursorError(FatalSyncError):
    """The API gave the same cursor twice: following it would go round for ever."""


class CursorPaginator(BaseAPIPaginator[str | None]):
    """Follows the cursor of each answer until there is none."""

    def __init__(self) -> None:
        super().__init__(None)
        self._seen: set[str] = set()

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        return True  # only a missing cursor is the end

    @override
    def get_next(self, response: requests.Response) -> str | None:
        """Get the next page's cursor, None at the end; raises `RepeatedCursorError`."""
        cursor = page_of(response).cursor
        if cursor in self._seen:
            msg = (
                f"the API gave the same cursor twice, after {self.count} pages: the window cannot be read to its end; "
                "this is a bug of the API, so run again, and report it to DeepConverse if it stays"
            )
            raise RepeatedCursorError(msg)
        if cursor is not None:
            self._seen.add(cursor)
        return cursor
