"""Words for logs and errors. A response may hold the key, customers' data, or what forges lines of the log."""

import re
from typing import Any

import msgspec
import requests
from typing_extensions import override

LONGEST_QUOTE = 200  # characters

# Keys under which gateways and frameworks put the reason in an error's body. The Export API documents none.
_REASONS_OF_200 = ("message", "error", "errors")  # all other keys of such a body may belong to a record
_REASONS = (*_REASONS_OF_200, "detail", "error_description", "title", "msg")
_title = re.compile(rb"<title[^>]{0,99}>(.{0,999}?)</title>", re.IGNORECASE | re.DOTALL)


class Secret(str):
    """A string that `repr` hides, also inside the `repr` of a container."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'***'"


def one_line(text: str, secret: str) -> str:
    """Return a text on one line, short and printable, up to the first brace: what follows may be a record.

    A word with the secret becomes stars. However a secret is escaped, its longest run of letters and digits stays.
    """
    printable = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    run = max(re.findall("[A-Za-z0-9]+", secret), key=len, default=secret)
    safe = re.sub(rf"\S*{re.escape(run)}\S*", "***", printable)
    line = " ".join(safe.partition("{")[0].split())
    return line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line


def own_words(response: requests.Response, secret: str) -> str:
    """Return the API's reason for an error on one line, without the secret; without a reason, the status's name."""
    body = response.content[:1_000_000].strip()
    try:
        error = msgspec.json.decode(body)
        text = _reason_in(error, _REASONS_OF_200 if response.ok else _REASONS) if isinstance(error, dict) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_text = not response.ok and not body.startswith((b"{", b"[", b'"'))
        title = _title.search(body)
        text = (title[1] if title else body).decode("utf-8", "replace") if is_text else ""
    return one_line(text, secret) or one_line(str(response.reason), secret)


def _reason_in(error: Any, keys: tuple[str, ...] = _REASONS) -> str:
    if isinstance(error, list):
        return "; ".join(filter(None, map(_reason_in, error)))
    if isinstance(error, dict):
        named = {str(name).casefold(): value for name, value in error.items()}
        return next(filter(None, (_reason_in(named.get(key)) for key in keys)), "")
    return error if isinstance(error, str) else ""


def is_of_firewall(response: requests.Response) -> bool:
    """Return whether an error is an HTML page or a bare code: a firewall writes these, the API does not (inferred)."""
    return response.content.lstrip().lower().startswith((b"<!doctype html", b"<html", b"error code: "))


def name_of(bot_name: str, stream: str) -> str:
    """Return what every line of the log about a bot begins with."""
    return f"Bot {bot_name!r}, stream '{stream}'"


def in_words(seconds: float) -> str:
    """Return a duration in the largest unit of which there are at least two."""
    for limit, unit, text in ((120, 1, "{:.0f} s"), (7_200, 60, "{:.0f} min"), (172_800, 3_600, "{:.1f} h")):
        if seconds < limit:
            return text.format(seconds / unit)
    return f"{seconds / 86_400:.0f} days"
