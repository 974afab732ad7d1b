"""Pages of the Export API, and the cursor that leads from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from singer_sdk.exceptions import FatalSyncError
from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

if TYPE_CHECKING:
    import requests


class InvalidPageError(ValueError):
    """The body of an answer is not a page as the API documents it."""


class RepeatedCursorError(FatalSyncError):
    """The API gave the same cursor twice: following it would go round for ever."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the Export API: the records in ``data``, the next page's token in ``cursor``."""

    records: list[dict[str, Any]]
    cursor: str | None


_pages: WeakKeyDictionary[requests.Response, Page] = WeakKeyDictionary()


def page_of(response: requests.Response) -> Page:
    """Read an answer as a page. A response is parsed once, however often it is asked for.

    Args:
        response: A successful answer of the Export API.

    Returns:
        Its page.

    Raises:
        InvalidPageError: If the body is not JSON, or has no list of objects in ``data``, or a
            ``cursor`` that is neither text nor a number nor null. The message holds nothing of the body.
    """
    page = _pages.get(response)
    if page is None:
        page = _pages[response] = _parse(response)
    return page


def _parse(response: requests.Response) -> Page:
    try:
        body = response.json(parse_float=Decimal)
    except ValueError as error:
        msg = "the answer is not JSON"
        raise InvalidPageError(msg) from error
    records = body.get("data") if isinstance(body, dict) else None
    if not isinstance(records, list):
        msg = "the answer has no list of records in `data`"
        raise InvalidPageError(msg)
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            msg = f"record {position} of the page is not a JSON object"
            raise InvalidPageError(msg)
    cursor = body.get("cursor")
    if isinstance(cursor, bool) or not isinstance(cursor, str | int | None):
        msg = "the answer's `cursor` is neither text nor null"
        raise InvalidPageError(msg)
    return Page(records, None if cursor is None else str(cursor))


class CursorPaginator(BaseAPIPaginator[str | None]):
    """Follows the cursor of each answer until there is none.

    The documentation ends the pages with a ``null`` cursor; a missing one is taken for the same,
    and so is an empty text, since to send it would ask for the first page again.
    """

    def __init__(self) -> None:
        """Start at the first page, which is asked for without a cursor."""
        super().__init__(None)
        self._seen: set[str] = set()

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        """Go on through pages without records: only a missing cursor is the end.

        Args:
            response: An answer without records.

        Returns:
            True, always: whether more pages follow is the cursor's to say.
        """
        return True

    @override
    def get_next(self, response: requests.Response) -> str | None:
        """Get the cursor for the next page.

        Args:
            response: The answer to the request before.

        Returns:
            The cursor, or None at the end.

        Raises:
            RepeatedCursorError: If the API gave this cursor before.
        """
        cursor = page_of(response).cursor
        if not cursor:
            return None
        if cursor in self._seen:
            msg = (
                f"the API gave the same cursor twice, after {self.count} pages: the window cannot be read to its end; "
                "this is a fault of the API, so run again, and report it to DeepConverse if it stays"
            )
            raise RepeatedCursorError(msg)
        self._seen.add(cursor)
        return cursor
