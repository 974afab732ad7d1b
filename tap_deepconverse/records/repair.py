"""What helps where a response is not valid JSON: repairs it, or finds the record that makes it invalid."""

from __future__ import annotations

import codecs
import json
import re

# Possessive, and the closing quote may be missing, so text that is cut short is scanned in linear time.
_strings = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_control_characters = re.compile(rb"[\x00-\x1f]")
# A surrogate pair, a lone surrogate (the group), or any other escape.
_escapes = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_comma = re.compile(r"\s*,\s*")


def repaired(body: bytes) -> tuple[bytes, bool]:
    """Escape control characters, remove a byte order mark, and replace half an emoji and invalid UTF-8 by U+FFFD.

    Returns:
        JSON in UTF-8, unless it is broken in another way, and whether some text was lost.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    whole = _escapes.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
    text = whole.decode("utf-8", "replace").encode()
    return _strings.sub(_with_control_characters_escaped, text), text != body


def _with_control_characters_escaped(string: re.Match[bytes]) -> bytes:
    return _control_characters.sub(lambda character: rb"\u%04x" % ord(character[0]), string[0])


def unreadable_item(body: bytes, key: str) -> tuple[int, type[Exception]] | None:
    """Find the item that makes JSON unreadable, in the list under a key. Python's parser goes item by item.

    Returns:
        The item's position, from 1, and ArithmeticError if it holds NaN or Infinity, or RecursionError if it is nested
        too deeply. None if no item is the cause.
    """
    text = body.decode("utf-8", "replace")
    place = re.search(rf'"{key}"\s*:\s*\[\s*', text)
    position = 0
    while place:
        position += 1
        try:
            _, end = _python.raw_decode(text, place.end())
        except (ArithmeticError, RecursionError) as error:
            return position, type(error)
        except ValueError:
            return None
        place = _comma.match(text, end)
    return None


def _refuse(constant: str) -> None:
    raise ArithmeticError(constant)


_python = json.JSONDecoder(parse_constant=_refuse, parse_float=str, parse_int=str)
