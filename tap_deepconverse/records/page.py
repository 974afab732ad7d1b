"""Parses a response of the Export API as a page: its records, still JSON, and the cursor of the next page."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.records.repair import (
    deepest_record,
    record_with_number_that_is_none,
    repair,
    without_numbers_that_are_none,
)
from tap_deepconverse.records.warnings import field_names

if TYPE_CHECKING:
    import requests

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"
NO_NUMBER = "holds NaN or Infinity, which JSON does not have and no target could store"


class InvalidPageError(FatalSyncError):
    """The body of a response is not a page as the API documents it. A retry may help."""


class UnusableRecordError(FatalSyncError):
    """A page holds a record that cannot be emitted, named by its position from 1. A retry cannot help."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"record {position} of the page {reason}")
        self.position, self.reason = position, reason


class _Body(msgspec.Struct, frozen=True):
    """The documented body of a response, and two fields that may hold an error."""

    data: list[msgspec.Raw]
    cursor: str | int | msgspec.UnsetType | None = msgspec.UNSET
    error: Any = None
    errors: Any = None


_body = msgspec.json.Decoder(_Body)
# Maps all digits to 0 and E to e, so that a plain search finds numbers that may be huge.
_DIGITS = bytes(ord("0") if chr(byte).isdigit() else ord("e") if chr(byte) == "E" else byte for byte in range(128))
_ALIKE = _DIGITS + bytes(range(128, 256))
_HUGE = b"0" * 300
_EXPONENTS = (b"e" + b"0" * 16, b"e+" + b"0" * 16, b"e-" + b"0" * 16)
_huge_exponent = re.compile(rb"[0-9][eE][+-]?[0-9]{16,}\s*[],}]")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()


@dataclass(frozen=True)
class Page:
    """One response of the Export API. The records stay JSON until they are conformed, to save memory in the queues.

    Attributes:
        cursor: The cursor of the next page, or None if there is none.
        has_cursor_key: Whether the response has the key `cursor`, null included.
        keys: Names the response's keys if `cursor` is not among them.
        has_lost_text: Whether some text was lost: see `Repaired`.
        is_plain: Whether the JSON can be emitted as it is: on one line, and without huge numbers.
    """

    data: list[msgspec.Raw]
    cursor: str | None = None
    has_cursor_key: bool = True
    keys: str = ""
    has_lost_text: bool = False
    is_plain: bool = True

    def values_of(self, field: str) -> list[Any]:
        """Return one field of all records, in their order, without values that are missing or cannot be parsed."""
        values = []
        for record in self.data:
            with suppress(KeyError, RecursionError, ValueError, msgspec.DecodeError):
                values.append(_any.decode(_fields.decode(record)[field]))
        return values


_pages: WeakKeyDictionary[requests.Response, Page] = WeakKeyDictionary()


def page_of(response: requests.Response) -> Page:
    """Parse a successful response, once for all calls. See `parse_page`."""
    if (page := _pages.get(response)) is None:
        page = _pages[response] = parse_page(response.content)
    return page


def parse_page(body: bytes) -> Page:
    """Parse the body of a response. Nearly valid JSON is repaired (see `repair`).

    A `null` cursor is the documented end. So is an empty text here: it would request the first page again.

    Raises:
        InvalidPageError: If the body is not JSON, `data` is not a list, or `cursor` is not text, an integer or null.
        UnusableRecordError: If a record of an otherwise valid page holds NaN or is nested too deeply.
    """
    has_lost_text = False
    try:
        try:
            str(body, "utf-8")
            read = _body.decode(body)
        except msgspec.ValidationError:
            raise
        except (UnicodeDecodeError, msgspec.DecodeError):
            repaired = repair(body)
            body, has_lost_text = repaired.body, repaired.has_lost_text
            read = _body.decode(body)
    except msgspec.ValidationError as error:
        msg = f"the response is not a page: {error}"
    except msgspec.DecodeError:
        if _is_page_but_for_numbers(body) and (position := record_with_number_that_is_none(body)):
            raise UnusableRecordError(position, NO_NUMBER) from None
        msg = "the response is not JSON" if body.strip() else "the response is empty"
    except RecursionError:
        if position := deepest_record(body):
            raise UnusableRecordError(position, NESTED_TOO_DEEPLY) from None
        msg = f"the response {NESTED_TOO_DEEPLY}"
    else:
        if read.data or not (read.error or read.errors):
            return _page(read, body, has_lost_text=has_lost_text)
        msg = "the response is an error, with no records"
    raise InvalidPageError(msg)


def _page(read: _Body, body: bytes, *, has_lost_text: bool) -> Page:
    cursor = str(read.cursor) if isinstance(read.cursor, str | int) else ""
    has_key = read.cursor is not msgspec.UNSET
    keys = ""
    if not has_key:
        with suppress(RecursionError):
            keys = field_names(_fields.decode(body))
    return Page(read.data, cursor or None, has_key, keys, has_lost_text, _is_plain(body.rstrip()))


def _is_page_but_for_numbers(body: bytes) -> bool:
    with suppress(msgspec.DecodeError, RecursionError):
        _body.decode(without_numbers_that_are_none(body))
        return True
    return False


def _is_plain(body: bytes) -> bool:
    if b"\n" in body or b"\r" in body or _HUGE in (alike := body.translate(_ALIKE)):
        return False
    return not (any(exponent in alike for exponent in _EXPONENTS) and _huge_exponent.search(body))
