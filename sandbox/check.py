"""Compares every row in a warehouse with the sandbox's records."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.archive import Record
from sandbox.contract import ID, TIME_FIELDS
from sandbox.server import Sandbox

Rows = dict[str, "Record"]
"""Rows by `_id`, with column names in lower case, as some targets write them."""

TIME_COLUMNS = {name.lower() for name in TIME_FIELDS}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expected_rows(sandbox: Sandbox, stream: str) -> Rows:
    """Return the rows that a warehouse should hold for a stream."""
    return {
        record[ID]: {
            "bot_name": bot_name,
            **{
                name.lower(): _EPOCH + timedelta(milliseconds=sandbox.behaviour.time_of(value))
                if name in TIME_FIELDS and isinstance(value, int)
                else value
                for name, value in record.items()
            },
        }
        for bot_name, records in sandbox.archive.records[stream].items()
        for record in records.values()
    }


def received_rows(rows: Iterable[Record], *, appended: bool = False) -> Rows:
    """Convert the rows of any target to the form of `expected_rows`, without changing their values."""
    received: Rows = {}
    for row in rows:
        if row[ID] in received and not appended:
            msg = f"{row[ID]} is there twice"
            raise ValueError(msg)
        received[row[ID]] = {name.lower(): _value(name.lower(), value) for name, value in row.items()}
    return received


def differences(expected: Rows, received: Rows) -> list[str]:
    """Return the differences between a warehouse and the source."""
    found = [f"{key} is missing" for key in expected.keys() - received.keys()]
    found += [f"{key} came from nowhere" for key in received.keys() - expected.keys()]
    for key in expected.keys() & received.keys():
        wrong = [
            name for name, value in expected[key].items() if name not in received[key] or received[key][name] != value
        ]
        found += [f"{key} differs in {', '.join(wrong)}"] if wrong else []
    return sorted(found)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in TIME_COLUMNS:
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, str) and value[:1] in {"{", "["}:
        return json.loads(value)
    return value
