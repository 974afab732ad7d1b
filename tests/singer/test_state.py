from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import config_for, sync

if TYPE_CHECKING:
    from tests.conftest import Serve


def counts_in(state: dict[str, Any], stream: str) -> Any:
    return state["bookmarks"][stream]["partitions"][0]["recent_counts"]


def test_a_state_says_how_many_records_there_were_lately(serve: Serve) -> None:
    _, url = serve()
    config = config_for(url, start_date="2026-09-01", end_date="2026-09-22")
    output = sync(config)
    for stream, key in (("conversations", "lastActionAt"), ("messages", "time")):
        counts = counts_in(output.state, stream)
        assert 1 <= len(counts) <= 102
        assert all(start < end for start, end, _ in counts)
        assert all(one[1] <= following[0] for one, following in pairwise(counts))
        # Two days before the bookmark, which is a day more than the next run reads again, and a little.
        lately = [each for each in output.records(stream) if each[key] > "2026-09-19T14:13:20"]
        assert sum(n for _, _, n in counts) >= len(lately)


@pytest.mark.parametrize(
    "counts",
    [
        [],
        None,
        7,
        "text",
        [7],
        [["soon", "2026-09-20T00:00:00Z", 5]],
        [["2026-09-20T00:00:00Z", "2026-09-19T00:00:00Z", 5]],
        [["2026-09-19T00:00:00Z", "2026-09-20T00:00:00Z", -5]],
        [["2026-09-19T00:00:00Z", "2026-09-20T00:00:00Z", 10**15]],
        [["2026-09-19T00:00:00Z", "2026-09-21T00:00:00Z", 5], ["2026-09-20T00:00:00Z", "2026-09-21T00:00:00Z", 5]],
    ],
)
def test_counts_that_somebody_has_edited_lose_nothing(serve: Serve, counts: Any) -> None:
    _, url = serve()
    config = config_for(url, start_date="2026-09-01", end_date="2026-09-22")
    first = sync({**config, "end_date": "2026-09-20T12:00:00Z"})
    for stream in ("conversations", "messages"):
        first.state["bookmarks"][stream]["partitions"][0]["recent_counts"] = counts
    second = sync(config, first.state)
    whole = sync(config)
    for stream in ("conversations", "messages"):
        assert first.newest(stream).keys() | second.newest(stream).keys() == whole.newest(stream).keys()
