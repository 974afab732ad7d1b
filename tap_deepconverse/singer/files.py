"""Checks that the files given on the command line hold JSON objects."""

from __future__ import annotations

import io
import json
from typing import IO

from singer_sdk.exceptions import ConfigurationError


class UnreadableFileError(ConfigurationError):
    """A file given on the command line does not hold what it should."""


def json_object(file: IO[str] | None, option: str) -> IO[str] | None:
    """Read a file once, and return the same text to be read again; None if the option was not given.

    Raises:
        UnreadableFileError: If it holds no JSON object. The message repeats nothing of the file.
    """
    if file is None:
        return None
    try:
        text = file.read()
        if isinstance(json.loads(text), dict):
            return io.StringIO(text)
        what = "does not hold a JSON object."
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}, column {error.colno}"
        what = f"is not valid JSON ({where})." if text.strip() else "is empty."
        if option == "--state":
            what += " For a first run, leave the option out."
    except ValueError:
        what = "is not valid JSON (not text)."
    msg = f"The file given as `{option}` {what}"
    raise UnreadableFileError(msg)
