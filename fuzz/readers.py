"""What may become of an answer: it is read, or an error of the tap's own says why not."""

import logging
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec

from tap_deepconverse.api.errors import InvalidPageError
from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.page import UnusablePageError, parse_page
from tap_deepconverse.records.values import TYPES, converter_for, format_time, parse_time
from tap_deepconverse.records.warnings import RecordWarnings, UndocumentedFields

SCHEMA = {
    "properties": {"_id": {"type": "string"}, "bot_name": {"type": "string"}, "additional_fields": {"type": "object"}}
}
LOGGER = logging.getLogger("fuzz")

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def records_in(body: bytes, *, is_shallow: bool = False) -> Iterator[dict[str, Any]]:
    """Read the records of a page, of which only the `_id` is conformed.

    Args:
        body: Whatever.
        is_shallow: Whether nested values stay JSON.

    Returns:
        The records.
    """
    undocumented = UndocumentedFields(LOGGER, "fuzz")
    warnings = RecordWarnings(LOGGER, "fuzz")
    conformer = Conformer("bot", SCHEMA, SCHEMA, warnings, undocumented, is_shallow=is_shallow)
    return conformer.records(parse_page(body), "page 1")


def as_written(record: dict[str, Any]) -> Any:
    """Write a record and read it again.

    Args:
        record: A record.

    Returns:
        What a target makes of it, its additional fields among the others.
    """
    written = _decoder.decode(_encoder.encode(record))
    return (written.pop("additional_fields", None) or {}) | written


def read_page(body: bytes) -> None:
    """Read a page, and all its records as far as they reach a target: the same whether they are parsed deeply or not.

    Args:
        body: Whatever.

    Raises:
        Exception: Any but those that explain what is wrong.
    """
    ways: list[Any] = []
    for is_shallow in (False, True):
        try:
            records = list(records_in(body, is_shallow=is_shallow))
        except (InvalidPageError, UnusablePageError) as error:
            assert str(error)
            ways.append(str(error))
            continue
        for record in records:
            assert record["_id"]
            for value in record.values() if not is_shallow else ():
                read_value(value)
        ways.append([as_written(record) for record in records])
    assert ways[0] == ways[1]


def read_value(value: Any) -> None:
    """Bring a value into each form that a field may have.

    Args:
        value: Whatever JSON may hold.
    """
    for kind in TYPES:
        faults: list[str] = []
        converted = converter_for({"type": kind, "items": {"type": "string"}})(value, faults)
        assert faults or value is None or isinstance(converted, TYPES[kind])
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
