"""Parses a response of the Export API as a page: its records, still JSON, and the cursor of the next page.

A page is whole, or it is not a page: half an answer must not look like the end of a window. Errors quote no content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.records.repair import repaired, unreadable_item
from tap_deepconverse.records.warnings import field_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

# Where a response has its records and the next page's cursor. Nothing else in the package names these keys.
DATA = "data"
CURSOR = "cursor"

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"
NO_NUMBER = "holds NaN or Infinity, which JSON does not have and no target could store"

ERRORS = ("error", "errors")
"""Keys that hold an error, if they hold anything."""
MESSAGES = ("message", "Message", "detail")
"""Keys that hold an error if there are no records, and nothing says that all is well."""
MORE = ("hasMore", "has_more")
"""Keys that are true if there are more pages."""
SIGNS = {
    "success": {"false"},
    "ok": {"false"},
    "status": {"error", "fail", "failed", "failure"},
    "timed_out": {"true"},
    "partial": {"true"},
}
"""Values, as lower case text, that say that the request failed or that records are missing."""
FINE = {"true", "ok", "success", "200"}
BESIDE = {CURSOR, "total", *ERRORS, *MESSAGES, *MORE, *SIGNS}

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_any = msgspec.json.Decoder()

# Maps all digits to 0, E to e and + to -: plain searches are much faster than a regular expression for such numbers.
_ALIKE = bytes.maketrans(b"123456789E+", b"000000000e-")
_MANY_DIGITS = b"0" * 300
_huge_exponent = re.compile(rb"0e-?0{16,}\s*[],}]")


class InvalidPageError(FatalSyncError):
    """The response is not a page, or not all of one. A retry may help."""


class UnknownShapeError(InvalidPageError):
    """The response is JSON, but not of the documented shape: perhaps the live API differs. The message has its keys."""


class InvalidCursorError(FatalSyncError):
    """The cursor is neither text nor a number. Neither a retry nor a smaller page can help."""


class UnusableRecordError(FatalSyncError):
    """A page holds a record that cannot be emitted, named by its position from 1. A retry cannot help."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"record {position} of the page {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True)
class Page:
    """One response of the Export API. The records stay JSON until they are conformed, to save memory in the queues.

    Attributes:
        cursor: The cursor of the next page, or None if there is none.
        names: The keys of the response. A key may be data: see `keys`.
        total: How many records there are on all pages together, if the response says so.
        size: Bytes of the response's body.
        has_lost_text: Whether half an emoji (chat products do send these) or invalid UTF-8 became U+FFFD.
        is_plain: Whether the JSON can be emitted as it is: on one line, and without huge numbers.
    """

    data: list[msgspec.Raw]
    cursor: str | None = None
    names: frozenset[str] = frozenset({DATA, CURSOR})
    total: int | None = None
    size: int = 0
    has_lost_text: bool = False
    is_plain: bool = True

    @property
    def has_cursor_key(self) -> bool:
        """Whether the response has the key of the cursor, null included."""
        return CURSOR in self.names

    @property
    def keys(self) -> str:
        """Names the keys of the response, for a message."""
        return field_names(self.names)


_pages: WeakKeyDictionary[requests.Response, Page] = WeakKeyDictionary()


def page_of(response: requests.Response) -> Page:
    """Parse a successful response, once for all calls. See `parse_page`."""
    if (page := _pages.get(response)) is None:
        page = _pages[response] = parse_page(response.content, response.status_code)
    return page


def parse_page(body: bytes, status: int = HTTPStatus.OK) -> Page:
    """Parse the body of a response. Nearly valid JSON is repaired.

    A `null` cursor is the documented end. So is an empty text here: it would request the first page again.

    Args:
        body: The body.
        status: The HTTP status. 204 is an empty page.

    Raises:
        InvalidPageError: If the body is not JSON, has a sign of an error, or is not all of a page.
        InvalidCursorError: If the cursor is an object, for example.
        UnusableRecordError: If a record of an otherwise valid page holds NaN or is nested too deeply.
    """
    if status == HTTPStatus.NO_CONTENT:
        return Page([])
    text = body
    has_lost_text = False
    try:
        if (fields := _fields_of(body)) is None:
            text, has_lost_text = repaired(body)
            fields = _fields.decode(text)
        data, beside = _parts(fields)
    except msgspec.DecodeError:
        msg = "the response is not JSON" if body.strip() else "the response is empty"
        raise _unusable_record(text) or InvalidPageError(msg) from None
    except RecursionError:
        raise _unusable_record(text) or InvalidPageError(f"the response {NESTED_TOO_DEEPLY}") from None
    cursor = beside.get(CURSOR)
    if not isinstance(cursor, str | int | None) or isinstance(cursor, bool):
        msg = f"the `{CURSOR}` in the response is not text, so the next page cannot be requested"
        raise InvalidCursorError(msg)
    total = beside.get("total")
    return Page(
        data=data,
        cursor=None if cursor is None else str(cursor) or None,
        names=frozenset(fields),
        total=total if type(total) is int else None,
        size=len(body),
        has_lost_text=has_lost_text,
        is_plain=_is_plain(text.rstrip()),
    )


def _fields_of(body: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the parts of a response; None if it is not valid JSON."""
    try:
        str(body, "utf-8")  # the parser does not check what stays JSON
        return _fields.decode(body)
    except msgspec.ValidationError:
        msg = "the response is JSON, but not an object"
        raise UnknownShapeError(msg) from None
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None


def _parts(fields: Mapping[str, msgspec.Raw]) -> tuple[list[msgspec.Raw], dict[str, Any]]:
    """Return the records of a response, and the parsed values beside them; raise InvalidPageError."""
    beside = {name: _any.decode(value) for name, value in fields.items() if name in BESIDE}
    try:
        data = _list.decode(fields.get(DATA, b"null"))
    except msgspec.ValidationError:
        data = None
        is_page = False
    else:
        is_page = data is not None or (beside.get(CURSOR) is None and not fields.keys().isdisjoint({DATA, CURSOR}))
    if sign := next((name for name in beside if _is_sign(name, beside, has_records=bool(data))), None):
        msg = f"the response is not a whole page, as its `{sign}` says"
        raise InvalidPageError(msg)
    if not is_page:
        msg = f"the response is JSON, but not a page: it has no list `{DATA}`; its keys: {field_names(fields)}"
        raise UnknownShapeError(msg)
    return data or [], beside


def _is_sign(name: str, beside: Mapping[str, Any], *, has_records: bool) -> bool:
    """Return whether a key beside the records says that the request failed, or that records are missing."""
    said = {key: str(value).casefold() for key, value in beside.items()}
    if name in MESSAGES:
        is_fine = not FINE.isdisjoint({said[name], *(said.get(key) for key in SIGNS)})
        return bool(beside[name]) and not has_records and not is_fine
    if name in MORE:
        return said[name] == "true" and not beside.get(CURSOR)
    return bool(beside[name]) if name in ERRORS else said[name] in SIGNS.get(name, ())


def _unusable_record(body: bytes) -> UnusableRecordError | None:
    """Return which record makes a page unreadable, if one does."""
    if not (found := unreadable_item(body, DATA)):
        return None
    position, kind = found
    return UnusableRecordError(position, NESTED_TOO_DEEPLY if kind is RecursionError else NO_NUMBER)


def _is_plain(body: bytes) -> bool:
    alike = body.translate(_ALIKE)
    return not (b"\n" in body or b"\r" in body or _MANY_DIGITS in alike or _huge_exponent.search(alike))
