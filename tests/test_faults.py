from __future__ import annotations

import pytest

from tests.faults import CASES, CONCURRENCIES, HEAD, TABLE, observe


def rows() -> dict[str, str]:
    """The rows of the table, by the fault."""
    table = TABLE.read_text()
    assert table.startswith(HEAD)
    return {row.split(" | ")[0].removeprefix("| "): row for row in table.removeprefix(HEAD).splitlines()}


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_fault_is_as_the_table_says(name: str, concurrency: int) -> None:
    assert str(observe(CASES[name], concurrency)) == rows()[name]


def test_the_table_holds_no_more_than_has_been_seen() -> None:
    assert list(rows()) == list(CASES)
