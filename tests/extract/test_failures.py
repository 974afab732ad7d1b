"""Whose an error is: one bot's, or everyone's."""

from __future__ import annotations

import pytest

from tap_deepconverse.api.errors import TEMPORARY, APIError
from tap_deepconverse.extract.failures import EveryBotError, Failures
from tap_deepconverse.extract.fallback import ExtractionError

REFUSED = APIError("the API refuses the key; check `api_key`", "401")
UNKNOWN = APIError("no such bot", "404")
OUTAGE = APIError("no response", TEMPORARY)
OWN = ExtractionError("record 7 is no record")


class Report(list[str]):
    """The bots whose own an error is."""

    def __call__(self, stream: str, bot_name: str, reason: str) -> None:
        assert stream == "conversations"
        assert reason
        self.append(bot_name)


def failures_of(*errors: Exception | None) -> tuple[Failures, Report]:
    """Let bots "a", "b" and so on fail, one after another; None is a page."""
    report = Report()
    failures = Failures(report)
    names = iter("abcdefgh")
    for error in errors:
        if error is None:
            failures.page_came()
        else:
            failures.add("conversations", next(names), error)
    return failures, report


def test_one_error_is_the_bots_own() -> None:
    failures, report = failures_of(UNKNOWN)
    assert report == []
    failures.page_came()
    assert report == ["a"]
    failures.end()
    assert report == ["a"]


@pytest.mark.parametrize("error", [REFUSED, UNKNOWN, OUTAGE])
@pytest.mark.parametrize("before", [[], [None], [OWN], [OUTAGE, UNKNOWN, None]])
def test_three_that_fail_alike_in_a_row_show_that_all_do(error: APIError, before: list[Exception | None]) -> None:
    with pytest.raises(EveryBotError, match=r"^[A-Z].*the same for all that were tried: '[a-c]', '[b-d]', '[c-e]'"):
        failures_of(*before, error, error, error)


@pytest.mark.parametrize(
    "errors",
    [
        [UNKNOWN, UNKNOWN, None, UNKNOWN, UNKNOWN, None],
        [UNKNOWN, None, UNKNOWN, UNKNOWN],
        [UNKNOWN, REFUSED, UNKNOWN, OUTAGE],
        [REFUSED, UNKNOWN, UNKNOWN, OUTAGE, OUTAGE, REFUSED],
        [OWN, OWN, OWN, OWN],
        [UNKNOWN, UNKNOWN, OWN, UNKNOWN],
        [None, UNKNOWN, UNKNOWN],
    ],
    ids=str,
)
def test_other_errors_are_those_of_single_bots(errors: list[Exception | None]) -> None:
    failures, report = failures_of(*errors)
    failures.end()
    assert report == list("abcdefgh")[: sum(error is not None for error in errors)]


def test_all_that_fail_alike_without_a_page_show_that_all_do() -> None:
    failures, _ = failures_of(UNKNOWN, UNKNOWN)
    with pytest.raises(EveryBotError, match="'a', 'b'"):
        failures.end()


def test_a_bot_that_fails_in_both_streams_is_one_bot() -> None:
    failures = Failures(lambda *_: None)
    failures.page_came()
    for bot_name in ("a", "b"):
        for stream in ("conversations", "messages"):
            failures.add(stream, bot_name, UNKNOWN)
    failures.end()
