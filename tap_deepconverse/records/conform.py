"""Makes records that fit the schema that the target gets: values of another type are converted, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tap_deepconverse.records.page import NESTED_TOO_DEEPLY, UnusableRecordError
from tap_deepconverse.records.values import ID, converter_for, types_of
from tap_deepconverse.records.warnings import ADDITIONAL, name_of_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_deepconverse.records.exclude import Exclusion
    from tap_deepconverse.records.page import Page
    from tap_deepconverse.records.values import Converter
    from tap_deepconverse.records.warnings import RecordWarnings, UndocumentedFields

Record = dict[str, Any]

BOT_NAME = "bot_name"
OWN = {BOT_NAME, ADDITIONAL}
"""Columns that the tap adds."""
IDS = {"_id", "conversationId"}
"""Columns with an id."""

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True)
class Conformer:
    """Parses the records of a bot's pages, and makes them fit the schema that the target gets.

    `documented` is the JSON schema of the documented columns, `announced` that of those in the catalog.
    """

    bot_name: str
    documented: Mapping[str, Any]
    announced: Mapping[str, Any]
    warnings: RecordWarnings
    undocumented: UndocumentedFields
    exclusion: Exclusion | None = None

    def records(self, page: Page, place: str) -> Iterator[Record]:
        """Yield the records of a page, which `place` names in log lines. What cannot be converted becomes null.

        Each record has all columns, in the schema's order. One that cannot be emitted raises `UnusableRecordError`.
        """
        if page.has_lost_text:
            what = "text that no target could store"
            self.warnings.warn(f"pages with {what}", f"{place} holds {what}, such as half an emoji; U+FFFD replaces it")
        problems: list[tuple[str, str]] = []
        for position, data in enumerate(page.data, 1):
            try:
                record = self._conform(_decoder.decode(data), problems)
                reason = "" if record["_id"] else "has no `_id`, which is the primary key"
            except RecursionError:
                reason = NESTED_TOO_DEEPLY
            except (ArithmeticError, msgspec.ValidationError):
                reason = "is not an object, or holds NaN, Infinity or a number that is too large"
            if reason:
                msg = f"record {position} of {place} {reason}"
                raise UnusableRecordError(msg)
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
    def _columns(self) -> list[tuple[str, Converter, type | None]]:
        """For each column: its name, its converter, and the type of the values that need none."""
        columns: list[tuple[str, Converter, type | None]] = []
        for name in (name for name in self._blank if name != BOT_NAME):
            # A catalog may leave out a format.
            documented = ID if name in IDS else self.documented["properties"].get(name, {}).get("format")
            schema = {"format": documented, **self.announced["properties"][name]}
            is_object = types_of(schema) == ["object"] and not schema.get("properties")
            is_text = types_of(schema) == ["string"] and schema["format"] in {None, ID}
            columns.append((name, converter_for(schema), dict if is_object else str if is_text else None))
        return columns

    def _conform(self, row: dict[str, Any], problems: list[tuple[str, str]]) -> Record:
        """Return a row as a record; `problems` gets each field that becomes null, and why."""
        if self.exclusion:
            row = self.exclusion.apply(row, self.documented["properties"].keys() - OWN, problems)
        if not row.keys() <= self._fields:
            rest = {name: row.pop(name) for name in [*row] if name not in self._fields}
            self.undocumented.notice(rest)
            row[ADDITIONAL] = rest
        record = self._blank.copy()
        faults: list[str] = []
        for name, convert, plain_type in self._columns:
            value = row.pop(name, None)
            if value is None or type(value) is plain_type:
                record[name] = value
                continue
            record[name] = convert(value, faults)
            if faults:
                verb = "is" if record[name] is None else "holds something that is"
                problems.append((name, f"{verb} {faults[0]}; it is"))
                faults.clear()
        for name, value in row.items():  # the catalog has no column for it
            if name != ADDITIONAL and value is not None:
                self.undocumented.drop(name)
        return record
