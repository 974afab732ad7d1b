"""Repairs a response that is not valid JSON."""

from __future__ import annotations

import codecs
import re

NO_NUMBER = b"1e99999999999999999999"
"""In place of NaN and Infinity, which JSON does not have: a number that is too large for any target."""

# Possessive, and the closing quote may be missing, so text that is cut short is scanned in linear time.
_strings_and_nan = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?(?:NaN|Infinity)', re.DOTALL)
_control_characters = re.compile(rb"[\x00-\x1f]")
# A surrogate pair, a lone surrogate (the group), or any other escape.
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)


def repaired(body: bytes) -> tuple[bytes, bool]:
    """Escape control characters, remove a byte order mark, and replace NaN, half an emoji and invalid UTF-8.

    Returns:
        JSON in UTF-8, unless it is broken in another way, and whether some text was lost (it is U+FFFD).
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
    text = whole.decode("utf-8", "replace").encode()
    return _strings_and_nan.sub(_as_json, text), text != body


def _as_json(found: re.Match[bytes]) -> bytes:
    if not found[0].startswith(b'"'):
        return NO_NUMBER
    return _control_characters.sub(lambda character: rb"\u%04x" % ord(character[0]), found[0])
