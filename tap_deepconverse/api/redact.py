"""Words for logs and errors: of the API's messages only what is safe, short, on one line, without the API key.

A response may hold the key, customers' data, and characters that would forge log lines or control a terminal.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    import requests

LONGEST_QUOTE = 200  # characters
LARGEST_ERROR = 1_048_576  # bytes: a larger body is no error message
_ascii_escape = re.compile(r"\\u00([0-7][0-9a-fA-F])")


class Secret(str):
    """A string that `repr` hides, also inside the `repr` of a container."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'***'"


# Keys under which gateways and frameworks put the reason in an error's body. The Export API documents none.
_REASON_KEYS = ("message", "error", "errors", "detail", "error_description", "title", "msg")
_REASON_KEYS_OF_200 = ("message", "error", "errors")  # other keys of such a body may belong to a record
_MOST_LEVELS = 5
_of_firewall = re.compile(
    rb"(<!--.*?-->\s*)*<(!doctype html|html|head|title|body|center|h1)\b|error code: ", re.IGNORECASE | re.DOTALL
)
_title = re.compile(rb"<title[^>]{0,99}>(.{0,999}?)</title>", re.IGNORECASE | re.DOTALL)


def one_line(text: str, secret: str) -> str:
    """Return a text on one line: at most `LONGEST_QUOTE` characters, all printable.

    The secret becomes stars, whether plain or escaped for a URL, HTML or JSON. The text is cut at the first brace:
    what follows may be a record.
    """
    text = _ascii_escape.sub(lambda escape: chr(int(escape[1], 16)), text.replace(secret, "***"))
    text = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in unescape(unquote(text)))
    for written in (secret, unescape(unquote(secret)), secret.replace("\\", "\\\\").replace('"', '\\"')):
        text = text.replace(written, "***")
    text, _, _ = text.partition("{")
    line = " ".join(text.split())
    return line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line


def own_words(response: requests.Response, secret: str) -> str:
    """Return the API's reason for an error on one line, without the secret; without a reason, the status's name.

    From JSON it takes only a `message`, `detail` or the like, also inside `error` or `errors`. With an error status it
    also takes text that is not JSON, and the title of HTML. Anything else may be a record.
    """
    body = response.content.strip() if len(response.content) <= LARGEST_ERROR else b""
    try:
        text = _reason_in(msgspec.json.decode(body), _REASON_KEYS_OF_200 if response.ok else _REASON_KEYS)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_text = not response.ok and not body.startswith((b"{", b"[", b'"'))
        title = _title.search(body)
        text = (title[1] if title else body).decode("utf-8", "replace") if is_text else ""
    return one_line(text, secret) or one_line(str(response.reason), secret)


def _reason_in(error: Any, keys: tuple[str, ...], level: int = 0) -> str:
    if isinstance(error, str):
        return error if level else ""  # a body that is only text may be a record
    if isinstance(error, list) and 0 < level < _MOST_LEVELS:
        return "; ".join(filter(None, (_reason_in(each, keys, level + 1) for each in error)))
    if isinstance(error, dict) and level < _MOST_LEVELS:
        named = {str(name).casefold(): value for name, value in error.items()}
        return next(filter(None, (_reason_in(named.get(name), _REASON_KEYS, level + 1) for name in keys)), "")
    return ""


def is_of_firewall(response: requests.Response) -> bool:
    """Return whether an error is an HTML page or a bare code: a firewall writes these, the API does not (inferred)."""
    return bool(_of_firewall.match(response.content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")))


def redirect_target(response: requests.Response, secret: str) -> str:
    """Return the target of a redirect without user, password, query and secret."""
    target = re.sub(r"[?#].*|(?<=//)[^/]*@", "", response.headers["Location"], flags=re.DOTALL)
    return one_line(target, secret) or "itself"


def in_words(seconds: float) -> str:
    """Return a duration in seconds, minutes, hours or days: the largest unit of which there are at least two."""
    for limit, unit, text in ((120, 1, "{:.0f} s"), (7_200, 60, "{:.0f} min"), (172_800, 3_600, "{:.1f} h")):
        if seconds < limit:
            return text.format(seconds / unit)
    return f"{seconds / 86_400:.0f} days"
