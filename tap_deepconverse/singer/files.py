"""Reads the files given on the command line, which must hold JSON objects."""

from __future__ import annotations

import json
from typing import IO, Any

from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.api.sentences import UNREADABLE_FILE


class UnreadableFileError(ConfigurationError):
    """A file given on the command line does not hold a JSON object."""


def json_object(file: IO[str] | None, option: str) -> dict[str, Any] | None:
    """Read a JSON object from a file, in UTF-8 whatever the locale; None if there is no file.

    Raises:
        UnreadableFileError: If it holds no JSON object. The message quotes nothing from the file.
    """
    if file is None:
        return None
    try:
        content = getattr(file, "buffer", file).read()
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant)
        if isinstance(value, dict):
            return value
        what = "does not hold a JSON object."
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}, column {error.colno}"
        what = f"is not valid JSON ({where})." if text.strip() else "is empty."
        if error.msg == "Extra data":
            what = "holds more than one JSON value. If these are states, keep only the last line."
        elif option == "--state":
            what += " For a first run, leave the option out."
    except UnicodeDecodeError:
        what = "is not valid JSON (not UTF-8 text)."
    except (RecursionError, ValueError):
        what = "is not valid JSON (nested too deeply, or with an invalid number)."
    raise UnreadableFileError(UNREADABLE_FILE(option=option, what=what))


def _refuse_constant(_: str) -> None:
    """Refuse NaN and Infinity, as the SDK does when it reads the file."""
    raise ValueError
