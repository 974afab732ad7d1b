from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from tap_deepconverse.records.values import format_time
from tap_deepconverse.singer.state import Checkpoints, Resume
from tap_deepconverse.tap import TapDeepConverse
from tests.support import Collector, config_for

BOT = {"bot_name": "bot"}
NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
DAY_BEFORE = "2026-09-20T00:00:00.000000+00:00"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3600


def checkpoints_of(**partition: Any) -> tuple[Checkpoints, Collector]:
    """The checkpoints of the conversations, and what is written."""
    writer = Collector()
    partitions = [{"context": BOT, **partition}] if partition else []
    state = {"bookmarks": {"conversations": {"partitions": partitions}}}
    config = config_for("http://127.0.0.1:1")
    tap = TapDeepConverse(config=config, state=state, message_writer=writer)
    return Checkpoints(tap.streams["conversations"]), writer


def stored(writer: Collector) -> dict[str, Any]:
    partition: dict[str, Any]
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    return partition


def test_what_is_stored_is_what_the_next_run_resumes_from() -> None:
    checkpoints, writer = checkpoints_of()
    assert checkpoints.resume(BOT) == Resume()
    checkpoints.advance(BOT, None, NOON, {})  # without a record yet
    assert writer.output.messages == []
    bookmark, until = NOON - timedelta(days=400, microseconds=1), NOON
    first = int(bookmark.timestamp()) // HOUR * HOUR
    checkpoints.advance(BOT, bookmark, until, {first: 7, first + 2 * HOUR: 5})
    partition = stored(writer)
    assert partition["replication_key_value"] == "2025-08-17T11:59:59.999999+00:00"
    assert partition["per_hour"] == {"since": "2025-08-17T11:00:00Z", "counts": [7, 0, 5]}
    again, _ = checkpoints_of(**partition)
    assert again.resume(BOT) == Resume(bookmark, until, {first: 7, first + HOUR: 0, first + 2 * HOUR: 5})


@pytest.mark.parametrize(
    ("bookmark", "since", "resume"),
    [
        ("2026-09-10T00:00:00Z", DAY_BEFORE, Resume(datetime(2026, 9, 10, tzinfo=UTC))),  # somebody has set it back
        *((early, early, Resume(EPOCH, EPOCH)) for early in ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59+00:00")),
    ],
)
def test_what_a_bookmark_that_is_set_back_and_times_before_1970_count_as(
    bookmark: str, since: str, resume: Resume
) -> None:
    checkpoints, _ = checkpoints_of(replication_key_value=bookmark, complete_since=since, complete_until=since)
    assert checkpoints.resume(BOT) == resume


def test_neither_time_moves_backwards_and_the_counts_of_version_1_0_go() -> None:
    checkpoints, writer = checkpoints_of(
        replication_key_value=DAY_BEFORE, complete_since=DAY_BEFORE, complete_until=DAY_BEFORE, recent_counts=[["a", 5]]
    )
    for bookmark, until in (NOON - timedelta(days=9), NOON - timedelta(days=9)), (None, NOON):
        checkpoints.advance(BOT, bookmark, until, {})
        assert stored(writer)["replication_key_value"] == DAY_BEFORE
        assert stored(writer)["complete_until"] == max(DAY_BEFORE, format_time(until))
    assert "recent_counts" not in stored(writer)


def test_a_week_of_counts_is_kept() -> None:
    checkpoints, writer = checkpoints_of()
    last = int(NOON.timestamp())
    checkpoints.advance(BOT, NOON, NOON, {last - number * HOUR: number + 1 for number in range(1_000)})
    counts = stored(writer)["per_hour"]["counts"]
    assert (len(counts), counts[-1]) == (168, 1)


@pytest.mark.parametrize("key", ["replication_key_value", "complete_until"])
def test_a_time_later_than_now_counts_as_now_and_the_state_heals(caplog: pytest.LogCaptureFixture, key: str) -> None:
    given = {"replication_key_value": DAY_BEFORE, "complete_until": DAY_BEFORE, key: "9999-12-31T23:59:59-14:00"}
    with time_machine.travel(NOON, tick=False):
        checkpoints, writer = checkpoints_of(**given, complete_since=given["replication_key_value"])
        resume = checkpoints.resume(BOT)
        checkpoints.advance(BOT, NOON, NOON, {})
    assert {resume.bookmark, resume.complete_until} == {NOON, datetime(2026, 9, 20, tzinfo=UTC)}
    (warning,) = [line for line in caplog.messages if "later than now" in line]
    assert warning.startswith("Bot 'bot', stream 'conversations': ")
    assert stored(writer)[key].startswith("2026-09-21T12:00")
