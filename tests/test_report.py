"""The demo's tables fit the terminal, and show bars with the characters that it has."""

from __future__ import annotations

import io
from datetime import date

import pytest
from rich.console import Console

from sandbox.report import metrics_table

DAYS = [
    {
        "day": date(2026, 9, number),
        "conversations": conversations,
        "self_service_rate": 0.5,
        "handed_over_rate": 0.25,
        "median_first_response_seconds": 41.6 if conversations else None,
    }
    for number, conversations in enumerate((0, 1, 500, 1000), 1)
]


def shown(width: int, encoding: str) -> list[str]:
    """The table's lines, those of the days only."""
    written = io.BytesIO()
    console = Console(file=io.TextIOWrapper(written, encoding=encoding), width=width)
    console.print(metrics_table(DAYS, console))
    console.file.flush()
    lines = written.getvalue().decode(encoding).splitlines()
    assert max(map(len, lines)) <= width
    return [line for line in lines if " Sep " in line]


@pytest.mark.parametrize(("width", "longest"), [(80, 13), (120, 40), (250, 40)])
def test_a_bar_is_as_long_as_its_day_is_busy(width: int, longest: int) -> None:
    none, one, half, most = shown(width, "utf-8")
    assert [line.count("█") for line in (none, one, half, most)] == [0, 0, longest // 2, longest]
    assert "▏" in one
    assert "▏" not in none
    assert all(text in most for text in ("Fri 04 Sep", "1,000", "50%", "25%", "42 s"))
    assert " s " not in none


def test_a_terminal_without_such_characters_has_others() -> None:
    assert [line.count("#") for line in shown(80, "ascii")] == [0, 1, 6, 13]
