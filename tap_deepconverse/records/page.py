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

from tap_deepconverse.records.repair import repaired
from tap_deepconverse.records.warnings import field_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

# Where a response has its records and the next page's cursor. Nothing else in the package names these keys.
DATA = "data"
CURSOR = "cursor"

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"


def _says(*words: str) -> Callable[[Any], bool]:
    return lambda value: str(value).casefold() in words


FAILURES = {
    "error": bool,
    "errors": bool,
    "success": _says("false"),
    "ok": _says("false"),
    "status": _says("error", "fail", "failed", "failure"),
    "timed_out": _says("true"),
    "partial": _says("true"),
}
"""Keys beside the records, and which of their values say that the page is not whole."""
MORE = {"hasMore": _says("true"), "has_more": _says("true")}
"""The same, where there is no cursor."""
MESSAGES = {"message": bool, "Message": bool, "detail": bool}
"""The same, where there are no records, and nothing says that all is well."""
BESIDE = {CURSOR, "total", *FAILURES, *MORE, *MESSAGES}

# An object and a list are parsed into parts that are still JSON.
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw] | str | float | bool | None)
_any = msgspec.json.Decoder()
_is_fine = _says("true", "ok", "success", "200")

# Maps all digits to 0, E to e and + to -: plain searches are much faster than a regular expression for such numbers.
_ALIKE = bytes.maketrans(b"123456789E+", b"000000000e-")
_MANY_DIGITS = b"0" * 300
_huge_exponent = re.compile(rb"0e-?0{16,}\s*[],}]")


class InvalidPageError(FatalSyncError):
    """The response is not a page, or not all of one. A retry may help."""


class UnknownShapeError(InvalidPageError):
    """The response is JSON of another shape: perhaps the live API differs. The message names its keys."""


class InvalidCursorError(FatalSyncError):
    """The cursor is neither text nor a number. Neither a retry nor a smaller page can help."""


class UnusableRecordError(FatalSyncError):
    """A page holds a record that cannot be emitted. A retry cannot help."""


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
        UnusableRecordError: If the body is nested too deeply.
    """
    if status == HTTPStatus.NO_CONTENT:
        return Page([])
    try:
        answer, text, has_lost_text = _parsed(body)
        fields: dict[str, msgspec.Raw] = answer if isinstance(answer, dict) else {}
        beside = {name: _any.decode(value) for name, value in fields.items() if name in BESIDE}
        data = _parts.decode(fields.get(DATA, b"null"))
    except msgspec.DecodeError:
        msg = "the response is not JSON" if body.strip() else "the response is empty"
        raise InvalidPageError(msg) from None
    except RecursionError:
        msg = f"the response {NESTED_TOO_DEEPLY}"
        raise UnusableRecordError(msg) from None
    cursor, total = beside.get(CURSOR), beside.get("total")
    if data is None and cursor is None and not fields.keys().isdisjoint({DATA, CURSOR}):
        data = []
    if sign := _sign_of_failure(beside, has_records=isinstance(data, list) and bool(data)):
        msg = f"the response is not a whole page, as its `{sign}` says"
        raise InvalidPageError(msg)
    if not isinstance(data, list):
        keys = field_names(fields) or "none"
        msg = f"the response is JSON, but not a page: it has no list `{DATA}`; its keys: {keys}"
        raise UnknownShapeError(msg)
    if not isinstance(cursor, str | int | None) or isinstance(cursor, bool):
        msg = f"the `{CURSOR}` in the response is not text, so the next page cannot be requested"
        raise InvalidCursorError(msg)
    return Page(
        data=data,
        cursor=None if cursor is None else str(cursor) or None,
        names=frozenset(fields),
        total=total if type(total) is int else None,
        size=len(body),
        has_lost_text=has_lost_text,
        is_plain=_is_plain(text.rstrip()),
    )


def _parsed(body: bytes) -> tuple[Any, bytes, bool]:
    """Return a response, the JSON that it was parsed from, and whether a repair of it lost text."""
    try:
        str(body, "utf-8")  # the parser does not check what stays JSON
        return _parts.decode(body), body, False
    except (UnicodeDecodeError, msgspec.DecodeError):
        text, has_lost_text = repaired(body)
        return _parts.decode(text), text, has_lost_text


def _sign_of_failure(beside: Mapping[str, Any], *, has_records: bool) -> str | None:
    """Return the key beside the records that says that the request failed, or that records are missing."""
    signs = dict(FAILURES)
    if not beside.get(CURSOR):
        signs |= MORE
    if not has_records and not any(_is_fine(beside.get(name)) for name in (*MESSAGES, *FAILURES)):
        signs |= MESSAGES
    return next((name for name, is_sign in signs.items() if is_sign(beside.get(name))), None)


def _is_plain(body: bytes) -> bool:
    alike = body.translate(_ALIKE)
    return not (b"\n" in body or b"\r" in body or _MANY_DIGITS in alike or _huge_exponent.search(alike))
