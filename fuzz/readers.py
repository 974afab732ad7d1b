"""What may become of an answer: it is read, or an error of the tap's own says why not."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from tap_deepconverse.pagination import InvalidPageError, UnusableRecordError, parse_page
from tap_deepconverse.records import as_list_of_text, as_object, as_text
from tap_deepconverse.timestamps import format_time, parse_time


def read_page(body: bytes) -> None:
    """Read a page, and all its records as far as they reach a target.

    Args:
        body: Whatever.

    Raises:
        Exception: Any but those that explain what is wrong.
    """
    try:
        for _, record in parse_page(body).records(lambda _: None):
            assert record["_id"] is not None
            for value in record.values():
                read_value(value)
            json.dumps(record, default=str, ensure_ascii=False).encode()
    except (InvalidPageError, UnusableRecordError) as error:
        assert str(error)


def read_value(value: Any) -> None:
    """Bring a value into each form that a field may have.

    Args:
        value: Whatever JSON may hold.
    """
    as_text(value).encode()
    as_list_of_text(value)
    as_object(value)
    read_time(value)


def read_time(value: Any) -> None:
    """Read a time, and write it as it is written for targets.

    Args:
        value: Whatever.
    """
    try:
        moment = parse_time(value)
    except ValueError as error:
        assert str(error) == f"not a time, but a {type(value).__name__} that cannot be read as one"
    else:
        assert moment.tzinfo is UTC
        assert parse_time(format_time(moment)) == moment
