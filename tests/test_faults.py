import random
from itertools import count, cycle

import pytest
from flask import Response

from sandbox.faults import refuses
from tests.faults import CASES, CONCURRENCIES, HEAD, TABLE, Case, observe


def rows() -> dict[str, str]:
    """The rows of the table, by the fault."""
    table = TABLE.read_text()
    assert table.startswith(HEAD)
    return {row.split(" | ")[0].removeprefix("| "): row for row in table.removeprefix(HEAD).splitlines()}


@pytest.mark.parametrize(("name", "concurrency"), list(zip(CASES, cycle(CONCURRENCIES), strict=False)))
def test_what_becomes_of_a_fault_is_as_the_table_says(name: str, concurrency: int) -> None:
    """With one or many windows at once; `make faults` tries both for each."""
    assert observe(CASES[name], concurrency) == rows()[name]


def test_the_table_holds_no_more_than_has_been_seen() -> None:
    assert list(rows()) == list(CASES)


def test_an_outage_of_whatever_holds_records_is_ridden_out() -> None:
    """What holds none still comes, so it looks as if the pages were too large, even the smallest."""
    left = count(30, -1)

    def fail_for_a_while(answer: Response) -> Response:
        return refuses(503, "Service Unavailable")(answer) if b'"_id"' in answer.data and next(left) > 0 else answer

    assert observe(Case("out", lambda: fail_for_a_while, 1), 8).split(" | ")[2].endswith("; complete")


def test_half_of_all_answers_may_be_broken() -> None:
    chance = random.Random(3)

    def fail_by_chance(answer: Response) -> Response:
        return refuses(503, "Service Unavailable")(answer) if chance.random() < 0.5 else answer

    assert observe(Case("half", lambda: fail_by_chance, 1), 8).split(" | ")[2].endswith("; complete")
