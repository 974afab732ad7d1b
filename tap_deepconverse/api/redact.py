"""Redaction of API messages for logs and errors: short, on one line, and without the API key.

A response may hold the key, customers' data, and characters that would forge log lines or control a terminal.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    import requests

LONGEST_QUOTE = 200  # characters
LARGEST_ERROR = 1_048_576  # bytes: a larger body is no error message
_ascii_escape = re.compile(r"\\u00([0-7][0-9a-fA-F])")


class Secret(str):
    """A text that `repr` hides, also in the `repr` of what contains it."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'***'"


class _Error(msgspec.Struct):
    """An error as a cloud API gateway writes it. That the API does so is inferred."""

    message: str = ""


_error = msgspec.json.Decoder(_Error)


def one_line(text: str, secret: str) -> str:
    """Write a text on one line: at most `LONGEST_QUOTE` characters, all printable.

    The secret becomes stars, be it plain or escaped for a URL, HTML or JSON. The text from the first brace on
    is cut: it may be a record.
    """
    text = _ascii_escape.sub(lambda escape: chr(int(escape[1], 16)), text.replace(secret, "***"))
    text = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in unescape(unquote(text)))
    for written in (secret, unescape(unquote(secret)), secret.replace("\\", "\\\\").replace('"', '\\"')):
        text = text.replace(written, "***")
    text, _, _ = text.partition("{")
    line = " ".join(text.split())
    return line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line


def own_words(response: requests.Response, secret: str) -> str:
    """Get the API's error message on one line, without the secret; the name of the status if there is none.

    Only a JSON `message` is used, or, with an error status, a text that is not JSON: all else may be a record.
    """
    body = response.content.strip() if len(response.content) <= LARGEST_ERROR else b""
    try:
        text = _error.decode(body).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_text = not response.ok and not body.startswith((b"{", b"[", b'"'))
        text = body.decode("utf-8", "replace") if is_text else ""
    return one_line(text, secret) or one_line(str(response.reason), secret)


def redirect_target(response: requests.Response, secret: str) -> str:
    """Get the target of a redirect, without user, password, query and the secret: the path only on the same host."""
    try:
        url = urlsplit(response.headers["Location"])
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return "something that is no URL"
    host = f"{url.scheme}://{url.hostname}{port}" if url.scheme and url.hostname else url.hostname or ""
    return one_line(f"{host}{url.path}", secret) or "itself"
