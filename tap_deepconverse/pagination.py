"""Pages of the Export API, and the cursor that leads from one to the next."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests


class InvalidPageError(FatalSyncError):
    """The body of an answer is not a page as the API documents it."""


class RepeatedCursorError(FatalSyncError):
    """The API gave the same cursor twice: following it would go round for ever."""


class Page(msgspec.Struct, frozen=True):
    """One answer of the Export API.

    The records stay JSON until they are asked for, which takes a fraction of the memory while a page
    waits for its turn.

    Attributes:
        data: The records, each as JSON.
        cursor: The next page's token, if there is a next page.
    """

    data: list[msgspec.Raw]
    cursor: str | int | None = None

    def records(self) -> Iterator[dict[str, Any]]:
        """Parse the records.

        Yields:
            The records, with numbers as exact as they are written.

        Raises:
            InvalidPageError: If one of them is not an object with an `_id`. The message holds nothing of it.
        """
        for position, data in enumerate(self.data):
            try:
                record = _record.decode(data)
            except (msgspec.ValidationError, ArithmeticError):
                msg = f"record {position} of a page is not an object, or holds a number beyond all bounds"
                raise InvalidPageError(msg) from None
            if record.get("_id") is None:
                msg = f"record {position} of a page has no `_id`, so it could neither be stored nor be recognized"
                raise InvalidPageError(msg)
            yield record


_page = msgspec.json.Decoder(Page)
_record = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape in JSON text: two halves of a character, or one alone (the group), or any other."""

_pages: WeakKeyDictionary[requests.Response, Page] = WeakKeyDictionary()


def page_of(response: requests.Response) -> Page:
    """Read an answer as a page. A response is parsed once, however often it is asked for.

    Args:
        response: A successful answer of the Export API.

    Returns:
        Its page.

    Raises:
        InvalidPageError: If the body is not JSON, or has no list in `data`, or a `cursor` that is neither text nor a
            number nor null. The message holds nothing of the body.
    """
    page = _pages.get(response)
    if page is None:
        page = _pages[response] = parse_page(response.content)
    return page


def parse_page(body: bytes) -> Page:
    """Parse the body of an answer.

    Half an emoji, which chat products do produce and which is no text that could be stored, becomes
    U+FFFD, and so does what is not UTF-8. All else stays as it is.

    Args:
        body: The body, JSON in UTF-8.

    Returns:
        The page.

    Raises:
        InvalidPageError: See `page_of`.
    """
    try:
        try:
            str(body, "utf-8")
            page = _page.decode(body)
        except (UnicodeDecodeError, msgspec.DecodeError):
            page = _page.decode(_mend_text(body))
    except msgspec.ValidationError as error:
        msg = f"the answer is not a page: {error}"
        raise InvalidPageError(msg) from None
    except msgspec.DecodeError:
        msg = "the answer is not JSON"
        raise InvalidPageError(msg) from None
    except RecursionError:
        msg = "the answer is nested too deeply"
        raise InvalidPageError(msg) from None
    return page


def _mend_text(body: bytes) -> bytes:
    whole = _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
    return whole.decode("utf-8", "replace").encode()


class CursorPaginator(BaseAPIPaginator[str | None]):
    """Follows the cursor of each answer until there is none.

    The documentation ends the pages with a `null` cursor; a missing one is taken for the same, and
    so is an empty text, since to send it would ask for the first page again.
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
        if cursor is None or cursor == "":
            return None
        token = str(cursor)
        if token in self._seen:
            msg = (
                f"the API gave the same cursor twice, after {self.count} pages: the window cannot be read to its end; "
                "this is a fault of the API, so run again, and report it to DeepConverse if it stays"
            )
            raise RepeatedCursorError(msg)
        self._seen.add(token)
        return token
