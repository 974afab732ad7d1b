"""Repairs invalid JSON, or finds the record that makes it invalid. Used only after normal parsing has failed."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Possessive, and the closing quote may be missing, so text that is cut short is scanned in linear time.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_strings = re.compile(_STRING, re.DOTALL)
_tokens = re.compile(_STRING + rb"|[\[\]{},]|-?Infinity|NaN", re.DOTALL)
_control_characters = re.compile(rb"[\x00-\x1f]")
# A surrogate pair, a lone surrogate (the group), or any other escape.
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_NUMBERS_THAT_ARE_NONE = {b"NaN", b"Infinity", b"-Infinity"}


@dataclass(frozen=True)
class Repaired:
    """Repaired JSON in UTF-8.

    Attributes:
        has_lost_text: Whether half an emoji (chat products do send these) or invalid UTF-8 became U+FFFD.
    """

    body: bytes
    has_lost_text: bool


def repair(body: bytes) -> Repaired:
    """Escape control characters, remove a byte order mark, and replace half an emoji and invalid UTF-8 by U+FFFD."""
    body = body.removeprefix(codecs.BOM_UTF8)
    whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
    text = whole.decode("utf-8", "replace").encode()
    return Repaired(_strings.sub(_with_control_characters_escaped, text), has_lost_text=text != body)


def _with_control_characters_escaped(string: re.Match[bytes]) -> bytes:
    return _control_characters.sub(lambda character: rb"\u%04x" % ord(character[0]), string[0])


def without_numbers_that_are_none(body: bytes) -> bytes:
    """Replace each NaN and Infinity, which Python and JavaScript write but JSON does not have, by null."""
    return _tokens.sub(lambda token: b"null" if token[0] in _NUMBERS_THAT_ARE_NONE else token[0], body)


def record_with_number_that_is_none(body: bytes) -> int | None:
    """Return the position, from 1, of the first record that holds NaN or Infinity, or None."""
    return next((position for token, position, _ in _walk(body) if token in _NUMBERS_THAT_ARE_NONE), None)


def deepest_record(body: bytes) -> int | None:
    """Return the position, from 1, of the most deeply nested record; None if the deepest value is in no record."""
    depths = ((depth, position) for _, position, depth in _walk(body))
    return max(depths, default=(0, None), key=itemgetter(0))[1]


def _walk(body: bytes) -> Iterator[tuple[bytes, int | None, int]]:
    """Yield each token of a page with the position of its record (None outside records) and its depth."""
    depth, key, position = 0, b"", None
    for match in _tokens.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth == 2 and key == b'"data"':  # noqa: PLR2004
                position = 1
        elif token in b"]}":
            depth -= 1
            if depth == 1:
                position = None
        elif token == b"," and depth == 2 and position:  # noqa: PLR2004
            position += 1
        elif depth == 1 and token.startswith(b'"'):
            key = token
        yield token, position, depth
