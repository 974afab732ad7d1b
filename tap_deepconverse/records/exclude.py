"""Removes the parameters that the setting `exclude_metadata` names, before anything else sees a record."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from unicodedata import normalize

from tap_deepconverse.records.warnings import ADDITIONAL, is_field_name

METADATA = "metadata"
COLUMNS = {METADATA, ADDITIONAL}
"""Columns that are searched. A stream that documents no `metadata` may have one all the same."""
UNSEARCHED = "is text, so it cannot be searched for what `exclude_metadata` names; it is"
_brackets = re.compile(r"[$.\[\]'\"]+")
_quoted_key = re.compile(r"\[['\"]")


def bad_names(names: Collection[str], columns: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield a sentence for each name that can never match, and so would protect nothing; `columns` are by stream."""
    known = {column.casefold() for each in columns.values() for column in each}
    for name in names:
        *longer, rest = _readings(name, columns)
        dotted = _brackets.sub(".", rest).strip(".")
        is_path = len(_readings(dotted, columns)) > 1 or _quoted_key.search(rest)
        if not rest or "*" in rest[:-1]:
            yield f"`exclude_metadata` names '{name}', but a name needs text, with `*` at its end only."
        elif is_path and dotted != rest:
            yield f"`exclude_metadata` names '{name}', but a path is written with dots only: '{dotted}'."
        elif dotted.partition(".")[0] in known and not any(each.partition(".")[0] in COLUMNS for each in longer):
            instead = f"leave it out with `select`, or, for a parameter of that name, write `{METADATA}.{rest}`"
            yield f"`exclude_metadata` names '{name}', which is a column: {instead}."


def _plain(text: str) -> str:
    return normalize("NFC", text).casefold()


def _readings(name: str, streams: Collection[str]) -> list[str]:
    """Return a name as it is, and without `$`, a stream or a column in front. Case and blanks do not count."""
    readings = [_plain(name.strip())]
    for fronts in ({"$"}, streams, COLUMNS):
        front, dot, rest = readings[-1].partition(".")
        if dot and front in fronts:
            readings.append(rest)
    return readings


class Exclusion:
    """What `exclude_metadata` names, for all streams of a run. Not for several threads at once.

    A name is a key, or the path to a nested one, with dots between. `*` at the end stands for the rest of one key.
    """

    def __init__(self, names: Collection[str], streams: Collection[str]) -> None:
        """Take the names, and the streams, which may stand in front of a name."""
        self._paths = {name: {f".{each}" for each in _readings(name, streams)} for name in names}
        self._known: dict[str, tuple[bool, bool]] = {}
        self._named = set().union(*self._paths.values())
        self._matched: set[str] = set()
        self._is_used = False

    def apply(
        self, record: dict[str, Any], documented: Collection[str], problems: list[tuple[str, str]]
    ) -> dict[str, Any]:
        """Return a record without the named parameters of `metadata` and of its undocumented fields.

        `problems` gets the place of each text that would have to be searched: it becomes null.
        """
        self._is_used = True
        searched = {name: value for name, value in record.items() if name not in documented and name != METADATA}
        kept = {name: value for name, value in record.items() if name not in searched}
        if METADATA in kept:
            kept[METADATA] = self._without(kept[METADATA], METADATA, "", problems)
        kept |= self._without(searched, ADDITIONAL, "", problems)
        return kept

    def _without(self, value: Any, column: str, path: str, problems: list[tuple[str, str]]) -> Any:
        if isinstance(value, list):
            return [self._without(item, column, path, problems) for item in value]
        if isinstance(value, str):
            self._matched |= self._below(_plain(path))
            problems.append((f"{column}{path}", UNSEARCHED))
            return None
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, inner in value.items():
            here = f"{path}.{key.strip()}"
            is_named, leads_on = self._known.get(here) or self._look_up(here)
            if not is_named:
                kept[key] = self._without(inner, column, here, problems) if leads_on else inner
        return kept

    def _below(self, here: str) -> set[str]:
        return {each for each in self._named if each.startswith(f"{here}.")}

    def _look_up(self, path: str) -> tuple[bool, bool]:
        """Return whether a path is named, and whether a name leads to what is below it."""
        here = _plain(path)
        below = self._below(here)
        matched = {each for each in self._named if each == here or (each[-1] == "*" and here.startswith(each[:-1]))}
        if matched:
            self._matched |= matched | below  # what is below a removed value goes too
        if len(self._known) < 10_000:  # noqa: PLR2004
            self._known[path] = bool(matched), bool(below)
        return bool(matched), bool(below)

    def unmatched(self) -> Iterator[str]:
        """Yield a sentence for each name that no record of the run had, if there were any records."""
        seen = {path.casefold(): path[1:] for path in self._known if all(map(is_field_name, path[1:].split(".")))}
        for name, paths in self._paths.items() if self._is_used else ():
            if self._matched.isdisjoint(paths):
                close = get_close_matches(min(paths, key=len), seen, n=1)
                hint = f"did you mean '{seen[close[0]]}'?" if close else "check how it is spelled."
                yield f"`exclude_metadata` names '{name}', which no record of this run has: {hint}"
