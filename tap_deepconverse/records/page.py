"""Parses a response of the Export API as a page: its records, still JSON, and the cursor of the next page.

Half an answer is no page: it must not look like the end of a window. Errors quote no content.
"""

import codecs
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from singer_sdk.exceptions import FatalSyncError

from tap_deepconverse.api.errors import InvalidPageError, MissingPagesError, UnknownShapeError
from tap_deepconverse.records.warnings import field_names

# Where a response has its records and the next page's cursor. Nothing else in the package names these keys.
DATA = "data"
CURSOR = "cursor"

NO_CURSOR = (None, False, "", 0, -1, "null", "none", "false", "0", "-1")

NESTED_TOO_DEEPLY = "is nested more deeply than can be read"

# What a key beside the records says, as `_said_beside` writes it. These say that the page is not whole:
_yes, _no = "=(true|1|yes)", "=(false|0|no)"
_failure = re.compile(
    "(success|ok|status)=(false|error|fail|failed|failure|partial|incomplete|timeout|timedout)"
    "|(success|ok)=0"  # a status of 0 may be that of a success
    "|(status(code)?|code)=[45][0-9][0-9]"
    f"|(timedout|partial|ispartial|partialresults?|iserror|haserrors?){_yes}|timeout=true"
    r"|(error|errors|errormessage|errorcode|failures)=(?!(null|none|false|0|\[\s*(null\s*)?]|{\s*}|{.code.:\s*0})?$).*",
    re.DOTALL,
)
# The same where there is no cursor, and where there are no records and nothing says that all is well.
_goes_on = re.compile(
    f"(hasmore|hasnext|hasnextpage|hasmorepages|more|truncated|istruncated|incomplete){_yes}"
    f"|(last|islast|lastpage|islastpage|complete|iscomplete){_no}"
    "|next(page|cursor|token|pagetoken)?=(?!(null|none|false|0|-1)?$).*"
)
_message = re.compile("(message|detail)=(?!(null|false|0)?$).*", re.DOTALL)
_fine = re.compile(
    "(success|ok|status|statuscode|code|message)=(true|ok|success|200)"
    r"|(message|detail)=(?!.*(err|fail|\bnot\b|n't|time.?out|unavail|\btry|due to|\bc(an|ould)\b|denied|permi|access))"
    r"((no|0|zero)( \w+)? (conversations|messages|records|results|data|items)\b.*|[\w ]*\b(fetched|retrieved|found)\W*)"
)
_total = re.compile("total(count|records|results|items)?=([0-9]{1,18})")
NESTED = {"meta", "metadata", "pagination", "page", "paging", "pageinfo"}
"""Keys of an object beside the records that may say the same."""

# Each is parsed into parts that are still JSON.
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw] | str | int | float | bool | None)

_encoder = msgspec.json.Encoder()
# A surrogate pair, a lone surrogate (the group), or any other escape.
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)

# Maps all digits to 0, E to e and + to -: plain searches are much faster than a regular expression.
_ALIKE = bytes.maketrans(b"123456789E+", b"000000000e-")
_MANY_DIGITS = b"0" * 300
_huge_exponent = re.compile(rb"0e-?0{16,}\s*[],}]")


class UnusablePageError(FatalSyncError):
    """A page has a record that cannot be emitted, or a cursor that cannot be sent. A retry cannot help."""


@dataclass(frozen=True)
class Page:
    """One response of the Export API. The records stay JSON until they are conformed, to save memory in the queues.

    Attributes:
        names: The keys of the response. A key may be data: see `keys`.
        total: How many records there are on all pages together, if the response says so.
        size: Bytes of the response's body.
        is_plain: Whether the JSON can be emitted as it is: on one line, and without huge numbers.
        has_lost_text: Whether half an emoji (chat products do send these) or invalid UTF-8 became U+FFFD.
    """

    data: list[msgspec.Raw]
    cursor: str | None = None
    names: frozenset[str] = frozenset({DATA, CURSOR})
    total: int | None = None
    size: int = 0
    is_plain: bool = True
    has_lost_text: bool = False

    @property
    def has_cursor_key(self) -> bool:
        """Whether the response has the key of the cursor, null included."""
        return CURSOR in self.names

    @property
    def keys(self) -> str:
        """Names the keys of the response, for a message."""
        return field_names(self.names)

    def check_total(self, records: int) -> None:
        """Raise `MissingPagesError` if the window's last page comes when only so many records have come."""
        if self.cursor is None and self.total is not None and records < self.total:
            msg = f"the API says that there are {self.total} records, but returned {records} and no cursor"
            raise MissingPagesError(msg)


def parse_page(body: bytes, status: int = HTTPStatus.OK) -> Page:
    """Parse the body of a response. Nearly valid JSON is repaired: control characters, NaN, half an emoji, bad UTF-8.

    A `null` cursor is the documented end. So is what others write in its place (`NO_CURSOR`).

    Raises:
        InvalidPageError: If it is not all of a page.
        UnusablePageError: If its cursor is not text, or it is nested too deeply.
    """
    if status == HTTPStatus.NO_CONTENT:
        return Page([])
    try:
        answer, text, has_lost_text = _parsed(body)
        fields: dict[str, msgspec.Raw] = answer if isinstance(answer, dict) else {}
        data = _parts.decode(fields.get(DATA, b"null"))
        cursor = _parts.decode(fields.get(CURSOR, b"null"))
        beside = _said_beside(fields)
    except (msgspec.DecodeError, ValueError):
        msg = "the response is not JSON" if body.strip() else "the response is empty"
        raise InvalidPageError(msg) from None
    except RecursionError:
        msg = f"the response {NESTED_TOO_DEEPLY}"
        raise UnusablePageError(msg) from None
    is_end = cursor in NO_CURSOR
    signs = [_failure] if data or any(_fine.fullmatch(said) for _, said in beside) else [_failure, _message]
    if sign := _sign_in(beside, signs):
        msg = f"the response is not a whole page, as its `{sign}` says"
        raise InvalidPageError(msg)
    if data is None and is_end and fields.keys() & {DATA, CURSOR}:
        data = []
    if not isinstance(data, list):
        keys = field_names(fields) or "none"
        msg = f"the response is JSON, but not a page: it has no list `{DATA}`; its keys: {keys}"
        raise UnknownShapeError(msg)
    if is_end and (sign := _sign_in(beside, [_goes_on])):
        msg = f"the response is not a whole page, as its `{sign}` says"
        raise MissingPagesError(msg)
    if not isinstance(cursor, str | int | None) or cursor is True:
        msg = f"the `{CURSOR}` in the response is not text, so the next page cannot be requested"
        raise UnusablePageError(msg)
    return Page(
        data=data,
        cursor=None if is_end else str(cursor),
        names=frozenset(fields),
        total=max((int(found[2]) for _, said in beside if (found := _total.fullmatch(said))), default=None),
        size=len(body),
        is_plain=_is_plain(text.rstrip()),
        has_lost_text=has_lost_text,
    )


def _parsed(body: bytes) -> tuple[Any, bytes, bool]:
    """Return a response, the JSON that it was parsed from, and whether a repair of it lost text."""
    try:
        str(body, "utf-8")  # the parser does not check what stays JSON
        return _parts.decode(body), body, False
    except (UnicodeDecodeError, msgspec.DecodeError):
        plain = body.removeprefix(codecs.BOM_UTF8)
        whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], plain)
        text = whole.decode("utf-8", "replace")
        answer = json.loads(text, strict=False, parse_float=_number, parse_int=_number, parse_constant=_too_large)
        repaired = _encoder.encode(answer)
        return _parts.decode(repaired), repaired, text.encode() != plain


def _number(digits: str) -> msgspec.Raw:
    return msgspec.Raw(digits.encode())


def _too_large(_: str) -> msgspec.Raw:
    return _number("1e99999999999999999999")  # for any target, as NaN is


def _said_beside(fields: Mapping[str, msgspec.Raw]) -> list[tuple[str, str]]:
    """Return the keys beside the records, and "key=value" of each, without what differs by fashion (`timed_out`)."""
    said = []
    for name, value in fields.items():
        if name == DATA:  # most of the response, which would be copied
            continue
        plain = name.casefold().replace("_", "")
        text = bytes(value)
        if plain in NESTED and text.startswith(b"{"):
            is_of_pages = plain in {"page", "paging"}  # whose total may be one of pages
            nested = _said_beside(_parts.decode(text))
            said += [each for each in nested if not (is_of_pages and _total.fullmatch(each[1]))]
        else:
            said.append((name, f"{plain}={text.decode().strip(chr(34)).casefold()}"))
    return said


def _sign_in(beside: Collection[tuple[str, str]], signs: Collection[re.Pattern[str]]) -> str | None:
    """Return the key beside the records that says one of these."""
    return next((name for name, said in beside if any(sign.fullmatch(said) for sign in signs)), None)


def _is_plain(body: bytes) -> bool:
    alike = body.translate(_ALIKE)
    return not (b"\n" in body or b"\r" in body or _MANY_DIGITS in alike or _huge_exponent.search(alike))
