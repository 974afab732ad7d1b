from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tap_deepconverse.extract.selection import Selection, shows_selection
from tap_deepconverse.extract.windows import Window
from tap_deepconverse.records.timestamps import format_time

WINDOW = Window(1_000_000, 1_000_100)
START = datetime.fromtimestamp(WINDOW.start, UTC)


@pytest.mark.parametrize(
    ("began", "updated", "shown"),
    [
        (10, 20, None),
        (10, 101, None),
        (10, 102, "began"),
        (-1, 20, "updated"),
        (-1, 102, None),
        (-2, -1, None),
        (102, 103, None),
    ],
)
def test_what_shows_which_time_the_api_selects_by(began: int, updated: int, shown: str | None) -> None:
    assert shows_selection(WINDOW, *(START + timedelta(seconds=seconds) for seconds in (began, updated))) == shown


@pytest.mark.parametrize(
    ("began", "updated", "run_began", "said"),
    [
        (10, 5_000, 100_000, "the API selects by `startTime`, so a change is found only if the conversation began"),
        (-1, 20, 100_000, "the API selects by `lastActionAt`, so every change is found"),
        (-1, 20, 30, "the API selects by `lastActionAt`, so every change is found"),
        (10, 5_000, 5_100, None),  # it may have been updated since the API has selected it
        (10, 20, 100_000, None),
    ],
)
def test_what_is_said_of_it(began: int, updated: int, run_began: int, said: str | None) -> None:
    moments = [START + timedelta(seconds=seconds) for seconds in (began, updated, run_began)]
    selection = Selection("startTime", "lastActionAt", moments[2])
    line = selection.observe(WINDOW, format_time(moments[0]), format_time(moments[1]))
    assert selection.is_known == (said is not None)
    assert (line or "").startswith(said or "")
    assert (line is None) == (said is None)
