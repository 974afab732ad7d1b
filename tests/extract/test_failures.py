"""Whose an error is: one bot's, or everyone's."""

import pytest

from tap_deepconverse.api.errors import TEMPORARY, APIError
from tap_deepconverse.extract.failures import EveryBotError, Failures
from tap_deepconverse.extract.fallback import ExtractionError

REFUSED = APIError("the API refuses the key; check `api_key`", "401")
UNKNOWN = APIError("no such bot", "404")
OUTAGE = APIError("no response", TEMPORARY)
OWN = ExtractionError("record 7 is no record")


def failures_of(*errors: Exception | None) -> tuple[Failures, list[str]]:
    """Let bots "a", "b" and so on fail, one after another; None is a page. Gives the reasons that were reported."""
    reported: list[str] = []
    failures, names = Failures(), iter("abcdefghijklmnopqrst")
    for error in errors:
        if error is None:
            failures.page_came()
        else:
            failures.add(next(names), error, reported.append)
    return failures, reported


def test_one_error_is_the_bots_own_once_a_page_has_come() -> None:
    failures, reported = failures_of(UNKNOWN)
    assert reported == []
    failures.page_came()
    failures.end()
    assert reported == ["no such bot"]


@pytest.mark.parametrize(
    ("error", "most", "before"),
    [
        *((OUTAGE, 3, before) for before in ([], [None], [OWN], [UNKNOWN, None], [UNKNOWN, UNKNOWN])),
        *((error, 10, before) for error in (REFUSED, UNKNOWN) for before in ([], [OWN], [OUTAGE, OUTAGE])),
    ],
    ids=str,
)
def test_as_many_that_fail_alike_in_a_row_show_that_all_do(
    error: APIError, most: int, before: list[Exception | None]
) -> None:
    failures_of(*before, *[error] * (most - 1))
    with pytest.raises(EveryBotError, match=r"^[A-Z].*the same for all that were tried: '[a-c]', '[b-d]', '[c-e]'"):
        failures_of(*before, *[error] * most)


@pytest.mark.parametrize(
    "errors",
    [
        [UNKNOWN, UNKNOWN, None, UNKNOWN, UNKNOWN, None],
        [UNKNOWN, REFUSED, UNKNOWN, OUTAGE],
        [REFUSED, UNKNOWN, UNKNOWN, OUTAGE, OUTAGE, REFUSED],
        [OWN, OWN, OWN, OWN],
        [UNKNOWN, UNKNOWN, OWN, UNKNOWN],
        [None, UNKNOWN, UNKNOWN],
        [None, *[REFUSED] * 15],  # the key works
        [UNKNOWN, UNKNOWN, UNKNOWN, None, UNKNOWN],
    ],
    ids=str,
)
def test_other_errors_are_those_of_single_bots(errors: list[Exception | None]) -> None:
    failures, reported = failures_of(*errors)
    failures.end()
    assert reported == [str(error) for error in errors if error]


def test_all_that_fail_alike_without_a_page_show_that_all_do() -> None:
    failures, _ = failures_of(UNKNOWN, UNKNOWN)
    with pytest.raises(EveryBotError, match="'a', 'b'"):
        failures.end()


def test_a_bot_that_fails_in_both_streams_is_one_bot() -> None:
    failures, reported = failures_of(None)
    for bot_name in ("a", "b", "a", "b"):
        failures.add(bot_name, UNKNOWN, reported.append)
    failures.end()
    assert len(reported) == 4
