"""Checks that the files given on the command line hold JSON objects."""

from __future__ import annotations

import io
import json
from typing import IO

from singer_sdk.exceptions import ConfigurationError


class UnreadableFileError(ConfigurationError):
    """A file given on the command line does not hold what it should."""


def json_object(file: IO[str] | None, option: str) -> IO[str] | None:
    """Read a file once, in UTF-8 whatever the locale, and return its text to be read again; None if there is no file.

    Raises:
        UnreadableFileError: If it holds no JSON object. The message repeats nothing of the file.
    """
    if file is None:
        return None
    try:
        content = getattr(file, "buffer", file).read()
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        if isinstance(json.loads(text), dict):
            return io.StringIO(text)
        what = "does not hold a JSON object."
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}, column {error.colno}"
        what = f"is not valid JSON ({where})." if text.strip() else "is empty."
        if error.msg == "Extra data":
            what = "holds more than one JSON value: of several states, keep only the last (the file's last line)."
        elif option == "--state":
            what += " For a first run, leave the option out."
    except UnicodeDecodeError:
        what = "is not text in UTF-8."
    except (RecursionError, ValueError):
        what = "is nested too deeply, or holds a number that is too long."
    msg = f"The file given as `{option}` {what}"
    raise UnreadableFileError(msg)
