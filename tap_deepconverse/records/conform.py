"""Conforms records to the documented columns: values of an unexpected type are converted, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tap_deepconverse.records.convert import IDS, as_id, as_object, as_text, converter_for, kept_of
from tap_deepconverse.records.exclude import without
from tap_deepconverse.records.page import NESTED_TOO_DEEPLY, UnusableRecordError
from tap_deepconverse.records.warnings import MOST_NAMED, field_names, name_of_record

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence

    from tap_deepconverse.records.convert import Converter
    from tap_deepconverse.records.page import Page
    from tap_deepconverse.records.warnings import RecordWarnings

Record = dict[str, Any]

ADDITIONAL = "additional_fields"
"""Column for the fields that the API's documentation does not name."""

OWN = {"bot_name", ADDITIONAL}
"""Columns that the tap adds."""

SENDER = ("sender", "author", "from", "agent", "speaker")
"""Parts of possible names for a message's sender. The documentation promises a sender, but names no field for it."""

NO_OBJECT = "is not an object"
NO_ID = "has no `_id`, which is the primary key"
BEYOND_BOUNDS = "holds a number that is too large"

LEVELS_AROUND = 30  # levels of nesting reserved for the message around a record, and for nested calls
SHORTEST_DEEP = 1_500  # bytes; a shorter record cannot be nested too deeply: a level takes at least two

_deeply = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_shallowly = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(float_hook=Decimal)
_json = msgspec.json.Encoder(decimal_format="number")


@dataclass
class UndocumentedFields:
    """Logs each field that the API's documentation does not name, once per run."""

    logger: logging.Logger
    stream: str
    _known: set[str] = field(default_factory=set, init=False)
    _lines: int = field(default=0, init=False)

    def notice(self, fields: set[str]) -> None:
        """Log those undocumented fields of a record that are new."""
        if fields <= self._known or self._lines >= MOST_NAMED:
            return
        self._lines += 1
        new = fields - self._known
        senders = {name for name in new if any(part in name.lower() for part in SENDER)}
        self.logger.info(
            "Stream '%s': the API sends fields that its documentation does not name (%s); they are in `%s`%s%s",
            self.stream,
            field_names(new),
            ADDITIONAL,
            f"; {field_names(senders)} may be the sender that the documentation promises" if senders else "",
            "; further fields are not logged" if self._lines == MOST_NAMED else "",
        )
        self._known |= fields


@dataclass(frozen=True)
class Conformer:
    """Parses and conforms the records of a bot's pages.

    Attributes:
        schema: The documented columns, as a JSON schema.
        excluded: Names of parameters to remove: see `without`.
        is_shallow: Whether nested values may stay unparsed JSON (`msgspec.Raw`), which takes half the time.
    """

    bot_name: str
    schema: Mapping[str, Any]
    warnings: RecordWarnings
    undocumented: UndocumentedFields
    excluded: Sequence[str]
    is_shallow: bool

    def records(self, page: Page, place: str) -> Iterator[Record]:
        """Yield the conformed records of a page, which `place` names in log lines. Unparseable times become null.

        Raises:
            UnusableRecordError: If a record is not an object with an `_id`, or cannot be emitted.
        """
        if page.has_lost_text:
            self.warnings.warn(
                "pages with text that no target could store",
                f"{place} holds text that no target could store, such as half an emoji; the character U+FFFD replaces "
                "it",
            )
        is_shallow = self.is_shallow and page.is_plain
        for position, data in enumerate(page.data, 1):
            text = bytes(data)
            try:
                row = _shallowly.decode(text) if is_shallow else _deeply.decode(text)
                if len(text) >= SHORTEST_DEEP:  # too deep for the encoder? Raise here, not while the message is written
                    _json.encode(_wrapped(_value.decode(text) if is_shallow else row))
                self._conform(row, position, place, is_shallow=is_shallow)
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
        """For each field: its name, its converter, and the first byte of JSON that needs no conversion."""
        as_it_is: dict[Converter, bytes] = {as_text: b'"', as_object: b"{", as_id: b'"'}
        properties = {name: each for name, each in self.schema["properties"].items() if name not in OWN}
        chosen = {name: as_id if name in IDS else converter_for(each) for name, each in properties.items()}
        # `_id` is always parsed: warnings, and the check for older copies, need its text.
        return [(name, to, None if name == "_id" else as_it_is.get(to)) for name, to in chosen.items()]

    @cached_property
    def _documented(self) -> set[str]:
        return {name for name, _, _ in self._plan}

    def _conform(self, row: Record, position: int, place: str, *, is_shallow: bool) -> None:
        additional = None
        if not row.keys() <= self._documented:
            additional = {name: row.pop(name) for name in row.keys() - self._documented}
        if self.excluded:
            additional = self._exclude(row, additional, position, place)
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
                row[name] = kept = kept_of(error)
                fault = f"is {error}; it is" if kept is None else f"holds something that is {error}; that is"
                self.warnings.warn(
                    f"values in `{name}` that cannot be converted",
                    f"`{name}` of {name_of_record(row['_id'])} (record {position} of {place}) {fault} null in the "
                    "target",
                )
        row["bot_name"] = self.bot_name
        if additional:
            self.undocumented.notice(set(additional))
        row[ADDITIONAL] = msgspec.Raw(_json.encode(additional)) if additional and is_shallow else additional or None

    def _exclude(self, row: Record, additional: Record | None, position: int, place: str) -> Record | None:
        def lost(path: str) -> None:
            self.warnings.warn(
                "values that could not be searched for what `exclude_metadata` names",
                f"`{path}` of {name_of_record(row.get('_id'))} is not an object (record {position} of {place}), so it "
                "cannot be searched for what `exclude_metadata` names; it is null in the target",
            )

        metadata = row.get("metadata")
        if isinstance(metadata, dict | list | str):
            row["metadata"] = without(metadata, self.excluded, lost, "metadata")
        elif metadata is not None:
            row["metadata"] = None
            lost("metadata")
        rest: Record | None = without(additional, self.excluded, lost, ADDITIONAL)
        return rest


def _wrapped(record: Any) -> Any:
    for _ in range(LEVELS_AROUND):
        record = [record]
    return record
