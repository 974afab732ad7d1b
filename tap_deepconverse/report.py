"""The report of `--test`: plain text, without the key, and with nothing of a conversation but the newest time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tap_deepconverse.open_questions import UNTOLD
from tap_deepconverse.records.warnings import field_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_deepconverse.open_questions import OpenQuestions

LATEST = 253_402_300_799  # the last second of the year 9999


@dataclass
class Line:
    """The report's row for a bot and a stream."""

    bot_name: str
    stream: str
    said: str = "not asked"
    newest: float | None = None
    longest: float | None = None  # seconds of the slowest response
    is_empty: bool = False  # the API answers, with no records

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns of the row."""
        moment = None if self.newest is None else datetime.fromtimestamp(min(self.newest, LATEST), UTC)
        return (
            printable(self.bot_name),
            self.stream,
            f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "-",
            "-" if self.longest is None else f"{self.longest:.2f} s",
            self.said,
        )


def report(title: str, key: str, lines: Sequence[Line], facts_of: Mapping[str, list[tuple[str, str]]]) -> str:
    """Return the report, with the facts of each stream; `key` says whether the API accepts the key."""
    titles = ("bot", "stream", "newest time", "longest answer", "result")
    text = [title, f"key accepted: {key}", "", *table([titles, *(line.cells for line in lines)])]
    for stream, rows in facts_of.items():
        text += ["", f"stream {stream}", *table(rows)]
    return "\n".join(text)


def facts(questions: OpenQuestions, key: str) -> list[tuple[str, str]]:
    """Return what a stream's responses show about questions that the API's documentation leaves open."""
    answers = questions.answers
    names = set[str]().union(*(answer.undocumented for answer in answers))
    keys = set[str]().union(*(answer.keys for answer in answers)) - {"data", "cursor"}
    rows = []
    for name in questions.fields:
        forms = sorted(set[str]().union(*(answer.forms[name] for answer in answers)))
        rows.append((f"  how `{name}` is written", ", ".join(forms) or UNTOLD))
    return [
        *rows,
        (
            "  fields that no document names",
            safe_names(names, key) or ("none" if any(answer.records for answer in answers) else UNTOLD),
        ),
        ("  is a `cursor` there", questions.cursor),
        ("  other keys beside `data`", safe_names(keys, key) or ("none" if answers else UNTOLD)),
        ("  does a page come in an order", questions.order),
        ("  is `start_time` inclusive", questions.told("start_inclusive")),
        ("  is `end_time` inclusive", questions.told("end_inclusive")),
        *([("  which time the API selects by", questions.told("by"))] if len(questions.fields) > 1 else []),
    ]


def safe_names(names: set[str], key: str) -> str:
    """List names. Those that may be data, or hold the key, are only counted."""
    return field_names({"?" if key in name else name for name in names})


def printable(text: str) -> str:
    """Replace characters that would break a line or control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
