"""Warnings about unexpected data: the first few of each kind, and a total at the end. They hold no record's data."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection

MOST_NAMED = 10  # log lines for each kind and bot
MOST_FIELDS = 10  # names in one line
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_ID = re.compile(r"[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RecordWarnings:
    """Warns about unexpected data in a bot's records; `where` names the bot and the stream."""

    def __init__(self, logger: logging.Logger, where: str) -> None:
        self._logger, self._where = logger, where
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start to count."""
        return self

    def __exit__(self, *_: object) -> None:
        """Log the totals, also after an error."""
        self.sum_up()

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, unless enough of its kind were logged. The kind is a plural: "pages with lost text"."""
        self._counts[kind] += 1
        if self._counts[kind] <= MOST_NAMED:
            more = "; further ones are counted but not logged" if self._counts[kind] == MOST_NAMED else ""
            self._logger.warning("%s: %s%s", self._where, message, more)

    def sum_up(self) -> None:
        """Log the total of each kind that was not logged completely."""
        for kind, count in self._counts.items():
            if count > MOST_NAMED:
                self._logger.warning("%s: in all, %s %s", self._where, f"{count:,}", kind)


def field_names(names: Collection[str]) -> str:
    """List a record's keys as "rating, survey and 3 more". Keys that may be data are only counted."""
    plain = sorted(filter(_FIELD_NAME.fullmatch, names))[:MOST_FIELDS]
    more = len(names) - len(plain)
    return ", ".join(plain) + (f"{' and ' if plain else ''}{more:,} more" if more else "")


def name_of_record(identity: object) -> str:
    """Name a record by its `_id` if that has the documented form or is an ObjectId or UUID; otherwise "a record"."""
    text = str(identity)
    return f"the record with _id '{text}'" if _ID.fullmatch(text) else "a record"
