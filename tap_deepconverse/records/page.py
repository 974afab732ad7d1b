"""Parses a response of the Export API as a page: its records, still JSON, and the cursor of the next page.

A page is whole, or it is not a page: half an answer must not look like the end of a window. Errors quote no content.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.records.warnings import field_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

# Where a response has its records and the next page's cursor. Nothing else in the package names these keys.
DATA = "data"
CURSOR = "cursor"

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"

# A key beside the records, as `_plain` has it, and its value: these say that the page is not whole, or that it is.
FAILED = ("false", "error", "fail", "failed", "failure")
NOT_WHOLE = {f"{name}={word}" for name in ("success", "ok", "status") for word in FAILED}
NOT_WHOLE |= {"success=0", "ok=0"}  # a status of 0 may be that of a success
NOT_WHOLE |= {f"{name}={status}" for name in ("status", "statuscode") for status in range(400, 600)}
NOT_WHOLE |= {"timedout=true", "partial=true", "iserror=true"}
NOT_THE_END = {f"{name}=true" for name in ("hasmore", "hasnext", "hasnextpage", "truncated", "incomplete")}
"""The same, where there is no cursor."""
FINE = ("true", "ok", "success", "200")
WHOLE = {f"{name}={word}" for name in ("success", "ok", "status", "message") for word in FINE}
ERRORS = {"error", "errors", "errormessage"}
MESSAGES = {"message", "detail"}
"""Keys with the reason of an error where there are no records, and nothing says that all is well."""
TOTALS = {"total", "totalcount"}

BESIDE = {each.partition("=")[0] for each in NOT_WHOLE | NOT_THE_END | WHOLE | ERRORS | MESSAGES}

# An object and a list are parsed into parts that are still JSON.
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw] | str | float | bool | None)
_any = msgspec.json.Decoder()

# Possessive, and the closing quote may be missing, so text that is cut short is scanned in linear time.
_strings_and_nan = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?(?:NaN|Infinity)', re.DOTALL)
_control_characters = re.compile(rb"[\x00-\x1f]")
# A surrogate pair, a lone surrogate (the group), or any other escape.
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)

# Maps all digits to 0, E to e and + to -: plain searches are much faster than a regular expression.
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
    if response not in _pages:
        _pages[response] = parse_page(response.content, response.status_code)
    return _pages[response]


def parse_page(body: bytes, status: int = HTTPStatus.OK) -> Page:
    """Parse the body of a response. Nearly valid JSON is repaired: control characters, NaN, half an emoji, bad UTF-8.

    A `null` cursor is the documented end. So is an empty text here: it would request the first page again.

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
        data = _parts.decode(fields.get(DATA, b"null"))
        cursor = _any.decode(fields.get(CURSOR, b"null"))
        totals = [_any.decode(value) for name, value in fields.items() if _plain(name) in TOTALS]
        sign = _sign_of_failure(fields, has_records=bool(data), has_cursor=bool(cursor))
    except msgspec.DecodeError:
        msg = "the response is not JSON" if body.strip() else "the response is empty"
        raise InvalidPageError(msg) from None
    except RecursionError:
        msg = f"the response {NESTED_TOO_DEEPLY}"
        raise UnusableRecordError(msg) from None
    if sign:
        msg = f"the response is not a whole page, as its `{sign}` says"
        raise InvalidPageError(msg)
    if data is None and cursor is None and fields.keys() & {DATA, CURSOR}:
        data = []
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
        total=max((total for total in totals if type(total) is int), default=None),
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
        plain = body.removeprefix(codecs.BOM_UTF8)
        whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], plain)
        text = whole.decode("utf-8", "replace").encode()
        repaired = _strings_and_nan.sub(_as_json, text)
        return _parts.decode(repaired), repaired, text != plain


def _as_json(found: re.Match[bytes]) -> bytes:
    """Escape the control characters of a string; replace NaN by a number that is too large for any target."""
    if not found[0].startswith(b'"'):
        return b"1e99999999999999999999"
    return _control_characters.sub(lambda character: rb"\u%04x" % ord(character[0]), found[0])


def _plain(name: str) -> str:
    """Return a key without what differs by fashion: `timed_out` and `timedOut` are the same."""
    return name.casefold().replace("_", "")


def _sign_of_failure(fields: Mapping[str, msgspec.Raw], *, has_records: bool, has_cursor: bool) -> str | None:
    """Return the key beside the records that says that the request failed, or that records are missing."""
    short = {name: _any.decode(value) for name, value in fields.items() if _plain(name) in BESIDE}
    said = {name: f"{_plain(name)}={str(value).casefold()}" for name, value in short.items()}
    signs = NOT_WHOLE if has_cursor else NOT_WHOLE | NOT_THE_END
    texts = ERRORS if has_records or WHOLE & {*said.values()} else ERRORS | MESSAGES
    found = (name for name in short if said[name] in signs or (_plain(name) in texts and short[name]))
    return next(found, None)


def _is_plain(body: bytes) -> bool:
    alike = body.translate(_ALIKE)
    return not (b"\n" in body or b"\r" in body or _MANY_DIGITS in alike or _huge_exponent.search(alike))
