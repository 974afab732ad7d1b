"""What can be made of JSON that is not as it should be, and where the trouble is if nothing can.

Pure, and only used where the fast way to read a page has failed, or is in doubt.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Possessive, and with an end that may be missing: so each byte of a text that is cut short is looked at once.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_strings = re.compile(_STRING, re.DOTALL)
_tokens = re.compile(_STRING + rb"|[\[\]{},]|-?Infinity|NaN", re.DOTALL)

_control_characters = re.compile(rb"[\x00-\x1f]")
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape in JSON text: two halves of a character, or one alone (the group), or any other."""

_NUMBERS_THAT_ARE_NONE = {b"NaN", b"Infinity", b"-Infinity"}


@dataclass(frozen=True)
class Mended:
    """Text that has been made JSON.

    Attributes:
        body: The text, in UTF-8.
        has_lost_text: Whether something could not be kept, and is U+FFFD: half an emoji, which chat
            products do produce and which no text can hold, or what is not UTF-8.
    """

    body: bytes
    has_lost_text: bool


def mend(body: bytes) -> Mended:
    """Make JSON of what only nearly is.

    Control characters that stand in a text as they are become escapes, which say the same. A byte
    order mark is left out. What no text can hold becomes U+FFFD.

    Args:
        body: The body of an answer.

    Returns:
        The same, if nothing of that applies, be it JSON or not.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
    text = whole.decode("utf-8", "replace").encode()
    return Mended(_strings.sub(_with_control_characters_escaped, text), has_lost_text=text != body)


def _with_control_characters_escaped(string: re.Match[bytes]) -> bytes:
    return _control_characters.sub(lambda character: rb"\u%04x" % ord(character[0]), string[0])


def without_numbers_that_are_none(body: bytes) -> bytes:
    """Put null for each NaN and Infinity, which Python and JavaScript write but JSON does not have.

    Args:
        body: The body of an answer.

    Returns:
        What may be JSON then.
    """
    return _tokens.sub(lambda token: b"null" if token[0] in _NUMBERS_THAT_ARE_NONE else token[0], body)


def record_with_number_that_is_none(body: bytes) -> int | None:
    """Find the first record that holds NaN or Infinity.

    Args:
        body: JSON but for those.

    Returns:
        The record's position, from 1, or None if no record does.
    """
    positions = (position for token, position, _ in _walk(body) if token in _NUMBERS_THAT_ARE_NONE)
    return next(positions, None)


def deepest_record(body: bytes) -> int | None:
    """Find the record that is nested most deeply.

    Args:
        body: JSON.

    Returns:
        The record's position, from 1, or None if that which is nested most deeply is no record.
    """
    depths = ((depth, position) for _, position, depth in _walk(body))
    return max(depths, default=(0, None), key=itemgetter(0))[1]


def _walk(body: bytes) -> Iterator[tuple[bytes, int | None, int]]:
    """Go through a page: each token, the position of the record that it is in, if it is in one, and its depth."""
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


def repeats_one_of(keys: Collection[str], body: bytes) -> bool:
    """See whether a page has one of its own keys twice, of which readers keep the last.

    Args:
        keys: Keys of a page.
        body: A page, as JSON.

    Returns:
        Whether it has. Keys within records do not count.
    """
    own = [token for token, _, depth in _walk(body) if depth == 1]
    seen = Counter(
        json.loads(token) for before, token in pairwise(own) if before in {b"{", b","} and token.startswith(b'"')
    )
    return any(seen[key] > 1 for key in keys)


def repeats_key(record: bytes) -> bool:
    """See whether an object in a record has the same key twice, of which readers keep the last.

    Args:
        record: A record, as JSON.

    Returns:
        Whether it has.
    """
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) < len(pairs)

    json.loads(record, object_pairs_hook=look, parse_int=len)
    return found
