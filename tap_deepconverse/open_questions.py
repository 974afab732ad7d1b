"""Answers questions that the API's documentation leaves open, such as whether `end_time` is inclusive, from pages.

Pure: nothing in this module sends a request. It keeps a record's id and times, and shows neither.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import msgspec

from tap_deepconverse.records.conform import NO_ID, NO_OBJECT
from tap_deepconverse.records.convert import EXTENDED_NUMBERS
from tap_deepconverse.records.page import UnusableRecordError
from tap_deepconverse.records.repair import repair
from tap_deepconverse.records.timestamps import LATEST_SECONDS, parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tap_deepconverse.records.page import Page

UNTOLD = "could not be told"
NO_TIME = "not as a time"
ENOUGH = 20  # records that a page needs to show an order
DIFFERENT = 8  # different times in a page: by chance, these are in order in one of 20,000 cases
_UNITS = ("Unix seconds", "Unix milliseconds", "Unix microseconds", "Unix nanoseconds")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder()

Times = dict[str, float]
"""A record's times in Unix seconds, by field. Whole seconds are exact."""


@dataclass(frozen=True)
class Answer:
    """A page, and its request.

    Attributes:
        keys: The top-level keys of the response.
        records: The times of each record by the JSON of its `_id`, in the page's order.
        is_full: Whether it holds as many records as requested.
        forms: How the times of each field are written.
        undocumented: Names of undocumented fields. A name may be data.
    """

    start: int
    end: int
    keys: frozenset[str]
    records: dict[bytes, Times]
    is_full: bool
    has_token: bool
    forms: dict[str, set[str]]
    undocumented: set[str]

    @property
    def is_whole(self) -> bool:
        """Whether it holds all records between `start` and `end`."""
        return not self.has_token and ("cursor" in self.keys or not self.is_full)


def answer_of(
    page: Page,
    body: bytes,
    asked: tuple[int, int, int],
    time_fields: Sequence[str],
    documented: Collection[str],
) -> Answer:
    """Return a page as an `Answer`; `asked` is the requested start, end and number of records.

    Raises:
        UnusableRecordError: If a record is not an object with an `_id`.
    """
    start, end, per_page = asked
    records: dict[bytes, Times] = {}
    forms: dict[str, set[str]] = {name: set() for name in time_fields}
    names: set[str] = set()
    for position, text in enumerate(page.data, 1):
        try:
            row = _fields.decode(text)
        except msgspec.ValidationError:
            raise UnusableRecordError(position, NO_OBJECT) from None
        identity = bytes(row.get("_id", b"null"))
        if identity in {b"null", b'""'}:
            raise UnusableRecordError(position, NO_ID)
        names |= row.keys()
        times = records[identity] = {}
        for name in time_fields:
            value = _plain(row.get(name, msgspec.Raw(b"null")))
            if value is not None:
                forms[name].add(form_of_time(value))
                with suppress(ValueError):
                    times[name] = parse_time(value).timestamp()
    return Answer(
        start=start,
        end=end,
        keys=frozenset(_fields.decode(repair(body).body)),
        records=records,
        is_full=len(page.data) >= per_page,
        has_token=page.cursor is not None,
        forms=forms,
        undocumented=names - set(documented),
    )


def _plain(text: msgspec.Raw) -> Any:
    try:
        return _value.decode(text)
    except (msgspec.DecodeError, RecursionError):  # such as a number that is too large
        return ()


def form_of_time(value: object) -> str:
    """Return how a time is written, without the time itself."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= EXTENDED_NUMBERS:
        ((key, inner),) = value.items()
        return f"{form_of_time(inner)} in an object `{key}`"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return NO_TIME
    try:
        parse_time(value)
        number = float(value)
    except ValueError:
        return _form_of_iso(value)
    unit = next((unit for power, unit in enumerate(_UNITS) if abs(number) < LATEST_SECONDS * 1_000**power), NO_TIME)
    fraction = " with a fraction" if isinstance(value, float) or "." in str(value) else ""
    return f"{unit}{fraction}{' as text' if isinstance(value, str) else ''}"


def _form_of_iso(value: object) -> str:
    with suppress(ValueError):
        moment = datetime.fromisoformat(str(value).strip().upper())
        return f"ISO 8601 {'without' if moment.tzinfo is None else 'with'} an offset"
    return NO_TIME


@dataclass(frozen=True)
class Reading:
    """One possible reading of the documentation: the time that the API selects by, and which edges are inclusive."""

    by: str
    start_inclusive: bool
    end_inclusive: bool

    def selects(self, times: Times, start: int, end: int) -> bool | None:
        """Return whether a record with these times is in a window; None if its time is unknown."""
        moment = times.get(self.by)
        if moment is None:
            return None
        is_edge_in = (moment != start or self.start_inclusive) and (moment != end or self.end_inclusive)
        return start <= moment <= end and is_edge_in

    def agrees(self, answer: Answer, known: dict[bytes, Times]) -> bool:
        """Return whether an answer holds the right records, given `known` records that have not changed."""
        start, end = answer.start, answer.end
        if any(self.selects(times, start, end) is False for times in answer.records.values()):
            return False
        missing = [times for identity, times in known.items() if identity not in answer.records]
        return not (answer.is_whole and any(self.selects(times, start, end) for times in missing))


@dataclass
class OpenQuestions:
    """What a stream's answers show, for all bots together. `fields` are those that hold a time."""

    fields: Sequence[str]
    answers: list[Answer] = field(default_factory=list)
    _evidence: list[tuple[Answer, dict[bytes, Times]]] = field(default_factory=list)

    def readings(self, *more: tuple[Answer, dict[bytes, Times]]) -> list[Reading]:
        """Return the readings that agree with all evidence, and with some `more`."""
        return [
            reading
            for reading in (Reading(*each) for each in product(self.fields, (True, False), (True, False)))
            if all(reading.agrees(*each) for each in [*self._evidence, *more])
        ]

    def learn(self, answers: Iterable[Answer], known: dict[bytes, Times]) -> None:
        """Add answers of one bot as evidence; `known` are records that have not changed in the meantime."""
        self._evidence += [(answer, known) for answer in answers]

    @property
    def order(self) -> str:
        """Whether the records of a page are in an order, and in which."""
        ways = dict.fromkeys(product(("rising", "falling"), self.fields))
        different = dict.fromkeys(self.fields, 0)
        for answer, name in product(self.answers, self.fields):
            times = [times[name] for times in answer.records.values() if name in times]
            different[name] = max(different[name], len(set(times)))
            if any(before > after for before, after in pairwise(times)):
                ways.pop(("rising", name), None)
            if any(before < after for before, after in pairwise(times)):
                ways.pop(("falling", name), None)
        if not ways:
            return "no"
        is_sure = any(different[name] >= DIFFERENT for _, name in ways)
        return f"yes, {' or '.join(f'{way} by `{name}`' for way, name in ways)}" if is_sure else UNTOLD

    @property
    def cursor(self) -> str:
        """Whether the answers have the key `cursor`."""
        have = [answer for answer in self.answers if "cursor" in answer.keys]
        lack = [answer for answer in self.answers if "cursor" not in answer.keys]
        if any(answer.is_full for answer in lack) or not have:
            return "no" if lack else UNTOLD
        return "yes, but not in each answer" if lack else "yes"

    def told(self, attribute: str) -> str:
        """Return the value on which all remaining readings agree."""
        values = {getattr(reading, attribute) for reading in self.readings()}
        if len(values) != 1:
            return UNTOLD
        (value,) = values
        return {True: "yes", False: "no"}.get(value, f"`{value}`")


def next_window(readings: Sequence[Reading], known: dict[bytes, Times]) -> tuple[int, int] | None:
    """Return the window whose answer distinguishes the most readings; None if no window does.

    Args:
        readings: The remaining readings.
        known: Records to choose from; earlier ones are preferred.
    """
    best, fewest = None, 0
    for times in known.values():
        for second in sorted(math.floor(moment) for moment in times.values()):
            for start, end in ((second - 1, second + 1), (second - 1, second), (second, second + 1)):
                votes = [reading.selects(times, start, end) for reading in readings]
                if None not in votes and min(votes.count(True), votes.count(False)) > fewest:
                    best, fewest = (start, end), min(votes.count(True), votes.count(False))
    return best
