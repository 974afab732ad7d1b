"""Fits records to the schema that the target gets, if a catalog has changed it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tap_deepconverse.records.conform import ADDITIONAL
from tap_deepconverse.records.convert import converter_for, kept_of, types_of
from tap_deepconverse.records.warnings import name_of_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_deepconverse.records.convert import Converter
    from tap_deepconverse.records.warnings import RecordWarnings


@dataclass(frozen=True)
class AnnouncedSchema:
    """The documented schema, and the one that the target gets. A catalog may remove or add columns and change types.

    Attributes:
        documented: The JSON schema that the records conform to.
        announced: The JSON schema of the catalog, or the same.
    """

    documented: Mapping[str, Any]
    announced: Mapping[str, Any]

    @cached_property
    def is_changed(self) -> bool:
        """Whether the two schemas differ."""
        return bool(self._changed or self._left_out)

    def fit(self, record: dict[str, Any], place: str, warnings: RecordWarnings) -> dict[str, Any]:
        """Fit a record in place: remove unannounced columns; a value that cannot be converted becomes null.

        Args:
            record: The record, conformed to the documented schema.
            place: Names its page in a warning.
            warnings: The warnings of its bot.
        """
        if not self.is_changed:
            return record
        if (additional := record.get(ADDITIONAL)) and self._added:
            record |= {name: additional.pop(name) for name in self._added if name in additional}
            record[ADDITIONAL] = additional or None
        for name, convert in self._changed.items():
            value = record.get(name)
            try:
                record[name] = None if value is None else convert(value)
            except ValueError as error:
                record[name] = kept = kept_of(error)
                part = "" if kept is None else "a part of "
                warnings.warn(
                    f"values of `{name}` that are not of the catalog's type",
                    f"{part}`{name}` of {name_of_record(record['_id'])} cannot be converted to the type that the "
                    f"catalog gives it ({place}); it is null in the target",
                )
        for name in self._left_out:
            record.pop(name, None)
        return record

    @cached_property
    def _changed(self) -> dict[str, Converter]:
        before, now = self.documented["properties"], self.announced["properties"]
        changed = {name for name in now if name not in before or _type_of(now[name]) != _type_of(before[name])}
        return {name: converter_for(now[name]) for name in changed}

    @cached_property
    def _added(self) -> set[str]:
        return set(self._changed) - set(self.documented["properties"])

    @cached_property
    def _left_out(self) -> set[str]:
        return set(self.documented["properties"]) - set(self.announced["properties"])


def _type_of(schema: Mapping[str, Any]) -> Any:
    """Return what defines the type. A changed description, or null in another position, has no effect."""
    items = schema.get("items")
    kinds = {*types_of(schema)} - {"null"}
    inner = _type_of(items) if isinstance(items, dict) else None
    return kinds, schema.get("format"), inner, schema.get("properties") or {}
