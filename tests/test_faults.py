import random
from collections.abc import Callable
from itertools import count, cycle

import pytest
from flask import Response

from sandbox.faults import error
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


LEFT = count(30, -1)
CHANCE = random.Random(3)


@pytest.mark.parametrize(
    "is_met",
    [
        # What holds none still comes, so it looks as if the pages were too large, even the smallest.
        pytest.param(lambda answer: b'"_id"' in answer.data and next(LEFT) > 0, id="for a while what holds records"),
        pytest.param(lambda _: CHANCE.random() < 0.5, id="half of all answers"),
    ],
)
def test_much_may_fail(is_met: Callable[[Response], bool]) -> None:
    def fail(answer: Response) -> Response:
        return error(503, "Service Unavailable") if is_met(answer) else answer

    assert observe(Case("much", lambda: fail, 1), 8).split(" | ")[2].endswith("; complete")
