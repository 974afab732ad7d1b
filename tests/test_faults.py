from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from flask import request

from sandbox.faults import refuses
from tests.faults import CASES, CONCURRENCIES, HEAD, TABLE, Case, observe

if TYPE_CHECKING:
    from flask import Response


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


def test_an_outage_of_whatever_holds_records_is_ridden_out() -> None:
    """What holds none still comes, so it looks as if the pages were too large, even the smallest."""
    over = time.monotonic() + 2

    def fail_for_a_while(answer: Response) -> Response:
        is_out = time.monotonic() < over and b'"_id"' in answer.data
        return refuses(503, "Service Unavailable")(answer) if is_out else answer

    row = observe(Case("out", lambda: fail_for_a_while, 1), 8)
    assert row.outcome == "read in smaller pages; complete"


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
def test_half_of_all_answers_may_be_broken(concurrency: int) -> None:
    chance = random.Random(3)

    def fail_by_chance(answer: Response) -> Response:
        return refuses(503, "Service Unavailable")(answer) if chance.random() < 0.5 else answer

    assert observe(Case("half", lambda: fail_by_chance, 1), concurrency).outcome.endswith("; complete")


def test_a_page_is_asked_for_again_whether_the_small_one_comes_or_not() -> None:
    failures = iter(range(8))

    def fail(answer: Response) -> Response:
        is_small = request.args["per_page"] == "1"
        return refuses(500, "No")(answer) if is_small or next(failures, None) is not None else answer

    assert observe(Case("small ones fail", lambda: fail, 1), 1).outcome == "retried; complete"
