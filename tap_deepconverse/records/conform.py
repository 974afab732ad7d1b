"""Makes records that fit the schema that the target gets: values of another type are converted, and nothing is lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from tap_deepconverse.records.exclude import Exclusion
from tap_deepconverse.records.page import NESTED_TOO_DEEPLY, Page, UnusablePageError
from tap_deepconverse.records.values import FORMATS, ID, Converter, converter_for, types_of
from tap_deepconverse.records.warnings import ADDITIONAL, RecordWarnings, UndocumentedFields, name_of_record

Record = dict[str, Any]

BOT_NAME = "bot_name"
OWN = {BOT_NAME, ADDITIONAL}
"""Columns that the tap adds."""
IDS = {"_id", "conversationId"}
"""Columns with an id."""

SHORTEST_DEEP = 1_500  # a record with fewer bytes, or fewer objects and lists, cannot be nested too deeply
FEWEST_DEEP = 100
LEVELS_AROUND = 30  # levels of nesting reserved for the message around a record, and for nested calls

_deeply = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_shallowly = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(float_hook=Decimal)
_json = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Conformer:
    """Parses the records of a bot's pages, and makes them fit the schema that the target gets.

    Attributes:
        documented: The documented columns, as a JSON schema.
        announced: The columns that the target gets: the same, unless a catalog removes or adds some or changes types.
        exclusion: What to remove first, if anything.
        is_shallow: Whether nested values may stay unparsed JSON (`msgspec.Raw`), which takes half the time.
    """

    bot_name: str
    documented: Mapping[str, Any]
    announced: Mapping[str, Any]
    warnings: RecordWarnings
    undocumented: UndocumentedFields
    exclusion: Exclusion | None = None
    is_shallow: bool = False

    def records(self, page: Page, place: str) -> Iterator[Record]:
        """Yield the records of a page, which `place` names in log lines. What cannot be converted becomes null.

        Each record has all columns, in the schema's order.

        Raises:
            UnusablePageError: If a record is not an object with an `_id`, or cannot be emitted.
        """
        if page.has_lost_text:
            what = "text that no target could store"
            line = f"{place} holds {what}, such as half an emoji; the character U+FFFD replaces it"
            self.warnings.warn(f"pages with {what}", line)
        is_shallow = self.is_shallow and page.is_plain and not self.exclusion
        decoder = _shallowly if is_shallow else _deeply
        problems: list[tuple[str, str]] = []
        for position, data in enumerate(page.data, 1):
            try:
                _check_depth(bytes(data))
                record = self._conform(decoder.decode(data), problems, is_shallow=is_shallow)
                reason = "" if record["_id"] else "has no `_id`, which is the primary key"
            except RecursionError:
                reason = NESTED_TOO_DEEPLY
            except (ArithmeticError, msgspec.ValidationError):
                is_object = bytes(data).startswith(b"{")
                reason = "holds NaN, Infinity or a number that is too large" if is_object else "is not an object"
            if reason:
                msg = f"record {position} of {place} {reason}"
                raise UnusablePageError(msg)
            for field, what in problems:
                name = f"`{field}` of {name_of_record(record['_id'])} (record {position} of {place})"
                self.warnings.warn(
                    f"values in `{field.partition('.')[0]}` that became null", f"{name} {what} null in the target"
                )
            problems.clear()
            yield record

    @cached_property
    def _blank(self) -> Record:
        """A record without values."""
        return {name: self.bot_name if name == BOT_NAME else None for name in self.announced["properties"]}

    @cached_property
    def _fields(self) -> set[str]:
        """The fields that have a column, or would have one if the catalog did not leave it out."""
        return {*self.documented["properties"], *self._blank} - OWN

    @cached_property
    def _columns(self) -> list[tuple[str, Converter, bytes]]:
        """For each column: its name, its converter, and how JSON begins that needs no conversion."""
        columns = []
        for name in (name for name in self._blank if name != BOT_NAME):
            # A catalog may leave out a format.
            documented = ID if name in IDS else self.documented["properties"].get(name, {}).get("format")
            schema = {"format": documented, **self.announced["properties"][name]}
            is_object = types_of(schema) == ["object"] and not schema.get("properties")
            is_text = types_of(schema) == ["string"] and schema["format"] not in FORMATS
            columns.append((name, converter_for(schema), b"{" if is_object else b'"' if is_text else b""))
        return columns

    def _conform(self, row: dict[str, Any], problems: list[tuple[str, str]], *, is_shallow: bool) -> Record:
        """Return a row as a record; `problems` gets each field that becomes null, and why."""
        if self.exclusion:
            row = self.exclusion.apply(row, self.documented["properties"].keys() - OWN, problems)
        if not row.keys() <= self._fields:
            rest = {name: row.pop(name) for name in [*row] if name not in self._fields}
            self.undocumented.notice(rest)
            row[ADDITIONAL] = msgspec.Raw(_json.encode(rest)) if is_shallow else rest
        record = self._blank.copy()
        faults: list[str] = []
        for name, convert, as_it_is in self._columns:
            value = row.pop(name, None)
            if value is None:
                continue
            if is_shallow:
                if as_it_is and bytes(value).startswith(as_it_is):
                    record[name] = value
                    continue
                value = _value.decode(value)
            record[name] = convert(value, faults)
            if faults:
                is_null = record[name] is None
                problems.append((name, f"{'is' if is_null else 'holds something that is'} {faults[0]}; it is"))
                faults.clear()
        for name, value in row.items():  # the catalog has no column for it
            if name != ADDITIONAL and value not in (None, msgspec.Raw(b"null")):
                self.undocumented.drop(name)
        return record


def _check_depth(text: bytes) -> None:
    """Raise RecursionError if a record is nested too deeply to be written: here, not while its message is written."""
    if len(text) >= SHORTEST_DEEP and text.count(b"[") + text.count(b"{") >= FEWEST_DEEP:
        _json.encode(_value.decode(b"[" * LEVELS_AROUND + text + b"]" * LEVELS_AROUND))
