"""Pages of the Export API, and the cursor that leads from one to the next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

from tap_deepconverse.malformed import (
    deepest_record,
    mend,
    record_with_number_that_is_none,
    repeats_key,
    repeats_one_of,
    without_numbers_that_are_none,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests


class InvalidPageError(FatalSyncError):
    """The body of an answer is not a page as the API documents it. Asked again, it may be one."""


class UnusableRecordError(FatalSyncError):
    """A page holds a record that cannot be passed on, however often it is asked for."""

    def __init__(self, position: int, reason: str) -> None:
        """Say where it is and what is wrong.

        Args:
            position: The record's position in the page, from 1.
            reason: What is wrong with it, as the rest of a sentence that begins with the record. Nothing of
                what it holds.
        """
        super().__init__(f"record {position} of the page {reason}")
        self.position = position
        self.reason = reason


class RepeatedCursorError(FatalSyncError):
    """The API gave the same cursor twice: following it would go round for ever."""


class _Body(msgspec.Struct, frozen=True):
    """The body of an answer, as the API documents it, and where it might say that something went wrong."""

    data: list[msgspec.Raw]
    cursor: str | int | None = None
    error: Any = None
    errors: Any = None


_body = msgspec.json.Decoder(_Body)
_record = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_json = msgspec.json.Encoder(decimal_format="number")

LEVELS_AROUND = 30
"""How many more levels of nesting a record must leave for what it is written within: a message, calls."""

SHORTEST_DEEP = 1_500
"""Bytes below which no record is nested so deeply that this matters: a level takes two at least."""

KEYS = ("data", "cursor")

_KEYS_IN_JSON = tuple(b'"%b"' % key.encode() for key in KEYS)
_escaped_letter = re.compile(rb"\\u00[67]")

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"
NO_OBJECT = "is not an object"
NO_ID = "has no `_id`, so it could neither be stored nor be recognized"
NO_NUMBER = "holds NaN or Infinity, which JSON does not have and no target could store"
BEYOND_BOUNDS = "holds a number beyond all bounds"


@dataclass(frozen=True)
class Page:
    """One answer of the Export API.

    The records stay JSON until they are asked for, which takes a fraction of the memory while a page
    waits for its turn.

    Attributes:
        data: The records, each as JSON.
        cursor: The next page's token, if there is a next page.
        has_lost_text: Whether some of its text could not be kept: see `Mended`.
    """

    data: list[msgspec.Raw]
    cursor: str | int | None = None
    has_lost_text: bool = False

    def records(self, repeats: Callable[[int], None]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Parse the records.

        Args:
            repeats: Called with the position of each record in which a key stands twice, of which the last
                counts.

        Yields:
            Each record's position, from 1, and the record, with numbers as exact as they are written.

        Raises:
            UnusableRecordError: If one of them is not an object with an `_id`, or is beyond what can be passed on.
        """
        for position, data in enumerate(self.data, 1):
            try:
                text = bytes(data)
                record = _record.decode(text)
                written = _json.encode(record if len(text) < SHORTEST_DEEP else _wrapped(record))
                # Of a key that stands twice, one is lost in reading, and so is missing when it is written again.
                if (text.count(b":") != written.count(b":") or rb"\u003" in text) and repeats_key(text):
                    repeats(position)
            except msgspec.ValidationError:
                raise UnusableRecordError(position, _reason_against(data)) from None
            except ArithmeticError:
                raise UnusableRecordError(position, BEYOND_BOUNDS) from None
            except RecursionError:
                raise UnusableRecordError(position, NESTED_TOO_DEEPLY) from None
            if (identity := record.get("_id")) is None or identity == "":
                raise UnusableRecordError(position, NO_ID)
            yield position, record


def _wrapped(record: Any) -> Any:
    for _ in range(LEVELS_AROUND):
        record = [record]
    return record


def _reason_against(data: msgspec.Raw) -> str:
    return BEYOND_BOUNDS if bytes(data).lstrip().startswith(b"{") else NO_OBJECT


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
        UnusableRecordError: If it would be a page, but for a record that JSON cannot hold.
    """
    page = _pages.get(response)
    if page is None:
        page = _pages[response] = parse_page(response.content)
    return page


def parse_page(body: bytes) -> Page:
    """Parse the body of an answer.

    What is only nearly JSON is mended as far as that changes nothing that it says (see `mend`).

    Args:
        body: The body, JSON in UTF-8.

    Returns:
        The page.

    Raises:
        InvalidPageError: See `page_of`.
        UnusableRecordError: See `page_of`.
    """
    has_lost_text = False
    try:
        try:
            str(body, "utf-8")
            read = _body.decode(body)
        except msgspec.ValidationError:
            raise
        except (UnicodeDecodeError, msgspec.DecodeError):
            mended = mend(body)
            body, has_lost_text = mended.body, mended.has_lost_text
            read = _body.decode(body)
    except msgspec.ValidationError as error:
        msg = f"the answer is not a page: {error}"
        raise InvalidPageError(msg) from None
    except msgspec.DecodeError:
        if _is_page_but_for_numbers(body) and (position := record_with_number_that_is_none(body)):
            raise UnusableRecordError(position, NO_NUMBER) from None
        msg = "the answer is empty" if not body.strip() else "the answer is not JSON"
        raise InvalidPageError(msg) from None
    except RecursionError:
        if position := deepest_record(body):
            raise UnusableRecordError(position, NESTED_TOO_DEEPLY) from None
        msg = f"the answer {NESTED_TOO_DEEPLY}"
        raise InvalidPageError(msg) from None
    if not read.data and (read.error or read.errors):
        msg = "the answer is an error, with no records"
        raise InvalidPageError(msg)
    may_repeat = any(body.count(key) > 1 for key in _KEYS_IN_JSON) or _escaped_letter.search(body)
    if may_repeat and repeats_one_of(KEYS, body):
        msg = "the answer has `data` or `cursor` twice"
        raise InvalidPageError(msg)
    return Page(read.data, read.cursor, has_lost_text)


def _is_page_but_for_numbers(body: bytes) -> bool:
    try:
        _body.decode(without_numbers_that_are_none(body))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


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
