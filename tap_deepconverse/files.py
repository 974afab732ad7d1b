"""The files that the command line is given: JSON objects, or a sentence that says they are not."""

from __future__ import annotations

import io
import json
from typing import IO

from singer_sdk.exceptions import ConfigurationError


class UnreadableFileError(ConfigurationError):
    """A file given on the command line does not hold what it should."""


def json_object(file: IO[str] | None, option: str) -> IO[str] | None:
    """Make sure that a file holds a JSON object.

    Args:
        file: The file, or None where the option was not given.
        option: The option that named it, such as `--state`.

    Returns:
        The same text, to be read once more.

    Raises:
        UnreadableFileError: If it does not. The message repeats nothing of the file.
    """
    if file is None:
        return None
    try:
        text = file.read()
        is_object = isinstance(json.loads(text), dict)
    except json.JSONDecodeError as error:
        what = f"not valid JSON ({error.msg}, line {error.lineno}, column {error.colno})" if text.strip() else "empty"
        msg = f"The file given as `{option}` is {what}."
        if option == "--state":
            msg += " For a first run, leave the option out."
        raise UnreadableFileError(msg) from None
    except ValueError:
        msg = f"The file given as `{option}` is not valid JSON (not text)."
        raise UnreadableFileError(msg) from None
    if not is_object:
        msg = f"The file given as `{option}` does not hold a JSON object."
        raise UnreadableFileError(msg)
    return io.StringIO(text)
