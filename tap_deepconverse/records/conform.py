"""Conforms records to the schema: a value of an unexpected type is converted, with nothing lost.

The API documents few types, and a target rejects, or worse mangles, a value that does not fit its column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.json import serialize_json

from tap_deepconverse.records.page import NESTED_TOO_DEEPLY, UnusableRecordError
from tap_deepconverse.records.timestamps import LATEST_SECONDS, format_seconds, format_time, parse_time
from tap_deepconverse.records.warnings import MOST_NAMED, field_names, name_of_record

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tap_deepconverse.records.page import Page
    from tap_deepconverse.records.warnings import RecordWarnings

Record = dict[str, Any]
Converter = Callable[[Any], Any]

NO_OBJECT = "is not an object"
NO_ID = "has no `_id`, so it could neither be stored nor be recognized"
BEYOND_BOUNDS = "holds a number beyond all bounds"

LEVELS_AROUND = 30  # levels of nesting to leave for the message around a record, and for nested calls
SHORTEST_DEEP = 1_500  # bytes; a shorter record cannot be nested too deeply, as a level takes at least two

_deeply = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_shallowly = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(float_hook=Decimal)
_json = msgspec.json.Encoder(decimal_format="number")


def as_text(value: Any) -> str:
    """Keep text; write anything else as JSON."""
    return value if isinstance(value, str) else serialize_json(value, ensure_ascii=False)


def as_time(value: Any) -> str:
    """Write a time as RFC 3339 in UTC; raises ValueError if it cannot be read."""
    if type(value) is int and 0 <= value < LATEST_SECONDS:
        return format_seconds(value)
    return format_time(parse_time(value))


def as_list_of_text(value: Any) -> list[str | None]:
    """Write the items of a list as text; anything else becomes a list of one item."""
    items = value if isinstance(value, list) else [value]
    return [None if item is None else as_text(item) for item in items]


def as_object(value: Any) -> dict[str, Any]:
    """Keep an object; put anything else under the key `value`."""
    return value if isinstance(value, dict) else {"value": value}


def converters(schema: Mapping[str, Any]) -> dict[str, Converter]:
    """Choose the converter of each property of a JSON schema. None of them takes null.

    Raises:
        KeyError: If a property is not text, a time, a list of text or an object.
    """
    by_type: dict[str, Converter] = {"string": as_text, "array": as_list_of_text, "object": as_object}
    return {
        name: as_time if schema.get("format") == "date-time" else by_type[schema["type"][0]]
        for name, schema in schema["properties"].items()
    }


@dataclass
class UndocumentedFields:
    """Logs each field that the API's documentation does not name, once a run."""

    logger: logging.Logger
    stream: str
    _known: set[str] = field(default_factory=set, init=False)
    _lines: int = field(default=0, init=False)

    def notice(self, fields: set[str]) -> None:
        """Log the new ones of a record's fields that are not in the schema."""
        if fields <= self._known or self._lines >= MOST_NAMED:
            return
        self._lines += 1
        self.logger.info(
            "Stream '%s': the API sends fields that its documentation does not name (%s); they are emitted, and kept "
            "by targets that take additional properties%s",
            self.stream,
            field_names(fields - self._known),
            "; more of these are not named" if self._lines == MOST_NAMED else "",
        )
        self._known |= fields


@dataclass(frozen=True)
class Conformer:
    """Parses the records of a bot's pages, and conforms them.

    Attributes:
        is_shallow: Whether nested values may stay unparsed JSON (`msgspec.Raw`), which takes half the time.
    """

    bot_name: str
    converters: Mapping[str, Converter]
    warnings: RecordWarnings
    undocumented: UndocumentedFields
    is_shallow: bool

    def records(self, page: Page, place: str) -> Iterator[Record]:
        """Yield the conformed records of a page, which `place` names in log lines. Unparseable times become null.

        Raises:
            UnusableRecordError: If a record is not an object with an `_id`, or cannot be emitted.
        """
        if page.has_lost_text:
            self.warnings.warn(
                "pages with text that no target could store",
                f"{place} holds text that no target could store, such as half an emoji; the character U+FFFD is put "
                "in its place",
            )
        is_shallow = self.is_shallow and page.is_plain
        for position, data in enumerate(page.data, 1):
            text = bytes(data)
            try:
                row = _shallowly.decode(text) if is_shallow else _deeply.decode(text)
                if len(text) >= SHORTEST_DEEP:  # too deep for the encoder? Raise here, not while the message is written
                    _json.encode(_wrapped(_value.decode(text) if is_shallow else row))
                self._conform(row, is_shallow=is_shallow)
            except msgspec.ValidationError:
                reason = BEYOND_BOUNDS if text.lstrip().startswith(b"{") else NO_OBJECT
                raise UnusableRecordError(position, reason) from None
            except ArithmeticError:
                raise UnusableRecordError(position, BEYOND_BOUNDS) from None
            except RecursionError:
                raise UnusableRecordError(position, NESTED_TOO_DEEPLY) from None
            if not row["_id"]:
                raise UnusableRecordError(position, NO_ID)
            yield row

    @cached_property
    def _plan(self) -> list[tuple[str, Converter, bytes | None]]:
        """Of each field its name, its converter, and how JSON begins that may stay as it is."""
        as_it_is: dict[Converter, bytes] = {as_text: b'"', as_object: b"{"}
        # Of the `_id` the text itself is needed.
        return [(name, to, None if name == "_id" else as_it_is.get(to)) for name, to in self.converters.items()]

    def _conform(self, row: Record, *, is_shallow: bool) -> None:
        if "bot_name" in row:
            name = "api_bot_name"
            while name in row:
                name = f"api_{name}"
            row[name] = row.pop("bot_name")
        for name, convert, as_it_is in self._plan:
            value = row.get(name)
            if is_shallow and value is not None:
                text = bytes(value)
                if text[:1] == as_it_is:
                    continue
                value = _value.decode(text)
            try:
                row[name] = None if value is None else convert(value)
            except ValueError as error:
                row[name] = None
                self.warnings.warn(
                    f"times in `{name}` that cannot be read",
                    f"`{name}` of {name_of_record(row['_id'])} is {error}; it is null in the target",
                )
        row["bot_name"] = self.bot_name
        if len(row) > len(self._plan):
            self.undocumented.notice(row.keys() - self.converters.keys())


def _wrapped(record: Any) -> Any:
    for _ in range(LEVELS_AROUND):
        record = [record]
    return record
