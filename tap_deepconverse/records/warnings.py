"""Log lines about unexpected data: the first few of each kind, and a total at the end. They hold no record's data."""

import logging
import re
from collections import Counter
from collections.abc import Collection

MOST_NAMED = 10
"""Log lines of each kind, and names in one line."""
ADDITIONAL = "additional_fields"
"""Column for the fields that the API's documentation does not name."""
_sender = re.compile("sender|author|from|speaker|^agent", re.IGNORECASE)
"""In a possible name for a message's sender. The documentation promises a sender, but names no field for it."""
_field_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_id = re.compile(r"[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RecordWarnings:
    """Warns about unexpected data in a bot's records; `where` names the bot and the stream."""

    def __init__(self, logger: logging.Logger, where: str) -> None:
        self._logger, self._where = logger, where
        self._counts: Counter[str] = Counter()

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


class UndocumentedFields:
    """Logs once per run which fields the documentation does not name, and which columns the catalog lacks.

    `is_kept` is whether the column for undocumented fields is in the catalog, and selected.
    """

    def __init__(self, logger: logging.Logger, stream: str, *, is_kept: bool = True) -> None:
        self._logger, self._stream = logger, stream
        self._where = "in" if is_kept else "left out, as the catalog does not select"
        self._known: set[str] = set()
        self._dropped: set[str] = set()
        self._lines = 0

    def notice(self, fields: Collection[str]) -> None:
        """Log those undocumented fields of a record that are new, in the first few records that have some."""
        if self._known.issuperset(fields) or self._lines >= MOST_NAMED:
            return
        self._lines += 1
        new = set(fields) - self._known
        self._known |= new
        line = f"the API sends fields that its documentation does not name ({field_names(new)}); they are {self._where}"
        senders = {name for name in new if _sender.search(name)}
        hint = f"; {field_names(senders)} may be the sender that the documentation promises" if senders else ""
        self._logger.info("Stream '%s': %s `%s`%s", self._stream, line, ADDITIONAL, hint)

    def drop(self, column: str) -> None:
        """Warn that a documented field has data, but the catalog has no column for it."""
        if column not in self._dropped:
            self._dropped.add(column)
            what = f"no column `{column}`, so its data is left out; to get it, use the catalog of a new `--discover`"
            self._logger.warning("Stream '%s': the catalog has %s", self._stream, what)


def is_field_name(name: str) -> bool:
    """Return whether a record's key looks like a name, not like data."""
    return _field_name.fullmatch(name) is not None


def field_names(names: Collection[str]) -> str:
    """List a record's keys as "rating, survey and 3 more". Keys that may be data are only counted."""
    plain = sorted(filter(is_field_name, names))[:MOST_NAMED]
    more = len(names) - len(plain)
    return ", ".join(plain) + (f"{' and ' if plain else ''}{more:,} more" if more else "")


def name_of_record(identity: object) -> str:
    """Name a record by its `_id` if that has the documented form or is an ObjectId or UUID; otherwise "a record"."""
    text = str(identity)
    return f"the record with _id '{text}'" if _id.fullmatch(text) else "a record"
