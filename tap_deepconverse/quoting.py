"""What may be repeated, in a log or an error, of what the API says: little, on one line, and never the key.

An error's own words help whoever has to mend it. But an answer may hold the key, which it was sent,
and customers' data, and characters that would make a terminal or a log say something else.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

    import requests

LONGEST_QUOTE = 200
"""Characters of the API's own words to repeat in an error."""

LARGEST_ERROR = 1_048_576
"""Bytes of a body that may be an error's own words. What is larger holds something else."""

MOST_NAMES = 10
"""How many field names are repeated at once."""

_ascii_escape = re.compile(r"\\u00([0-7][0-9a-fA-F])")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_DOCUMENTED_ID = re.compile(r"[0-9a-f]{32}")


class Secret(str):
    """A text that does not show in the `repr` of whatever holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Hide the text.

        Returns:
            Three stars.
        """
        return "'***'"


class _Error(msgspec.Struct):
    """An error in the manner of a cloud API gateway, which is inferred."""

    message: str = ""


_error = msgspec.json.Decoder(_Error)


def one_line(text: str, secret: str) -> str:
    """Cut a text short and bring it on one line, without what must not be repeated.

    Args:
        text: Any text.
        secret: What must not be repeated, be it written as it is or as it is in a URL, in HTML or in JSON.

    Returns:
        At most `LONGEST_QUOTE` characters, all of which can be printed. What begins with a brace is left
        out: it may be a record.
    """
    text = _ascii_escape.sub(lambda escape: chr(int(escape[1], 16)), text.replace(secret, "***"))
    text = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in unescape(unquote(text)))
    for written in (secret, unescape(unquote(secret)), secret.replace("\\", "\\\\").replace('"', '\\"')):
        text = text.replace(written, "***")
    text, _, _ = text.partition("{")
    line = " ".join(text.split())
    return line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line


def own_words(response: requests.Response, secret: str) -> str:
    """Repeat what the API says of an error.

    Only its `message` is repeated, or, where the status is that of an error, a text that is no JSON:
    anything else may be a record.

    Args:
        response: An answer that is an error.
        secret: What must not be repeated.

    Returns:
        One line, cut short, or the status's own name where the API says nothing.
    """
    body = response.content.strip() if len(response.content) <= LARGEST_ERROR else b""
    try:
        text = _error.decode(body).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_text = not response.ok and not body.startswith((b"{", b"[", b'"'))
        text = body.decode("utf-8", "replace") if is_text else ""
    return one_line(text, secret) or one_line(str(response.reason), secret)


def redirect_target(response: requests.Response, secret: str) -> str:
    """Say where a redirect points, less what may be secret.

    Args:
        response: A redirect.
        secret: What must not be repeated.

    Returns:
        Scheme, host and path, or the path alone where the host is the same.
    """
    try:
        url = urlsplit(response.headers["Location"])
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return "something that is no URL"
    host = f"{url.scheme}://{url.hostname}{port}" if url.scheme and url.hostname else url.hostname or ""
    return one_line(f"{host}{url.path}", secret) or "itself"


def field_names(names: Collection[str]) -> str:
    """List names of fields, as far as they are names: anything may be used as a key.

    Args:
        names: Keys of a record.

    Returns:
        For example "rating, survey and 3 more".
    """
    plain = sorted(filter(_FIELD_NAME.fullmatch, names))[:MOST_NAMES]
    more = len(names) - len(plain)
    return ", ".join(plain) + (f"{' and ' if plain else ''}{more:,} more" if more else "")


def name_of_record(identity: object) -> str:
    """Name a record by its `_id`, if that is of the documented kind: anything else may say something.

    Args:
        identity: The record's `_id`.

    Returns:
        For example "the record with _id '0123456789abcdef0123456789abcdef'", or "a record".
    """
    text = str(identity)
    return f"the record with _id '{text}'" if _DOCUMENTED_ID.fullmatch(text) else "a record"
