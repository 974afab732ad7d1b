from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from tap_deepconverse.singer.state import Checkpoints, Resume
from tap_deepconverse.tap import TapDeepConverse
from tests.support import Collector, config_for, sync

if TYPE_CHECKING:
    from tests.conftest import Serve

BOT = {"bot_name": "bot"}
NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
HOUR = 3600


def checkpoints_of(
    partition: dict[str, Any] | None = None, catalog: dict[str, Any] | None = None
) -> tuple[Checkpoints, Collector]:
    """The checkpoints of the conversations, and what is written."""
    writer = Collector()
    partitions = [] if partition is None else [{"context": BOT, **partition}]
    state = {"bookmarks": {"conversations": {"partitions": partitions}}}
    config = config_for("http://127.0.0.1:1")
    tap = TapDeepConverse(config=config, state=state, catalog=catalog, message_writer=writer)
    return Checkpoints(tap.streams["conversations"]), writer


def full_table() -> dict[str, Any]:
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def test_what_is_stored_is_what_the_next_run_resumes_from() -> None:
    checkpoints, writer = checkpoints_of()
    assert checkpoints.resume(BOT) == Resume()
    assert checkpoints.bots == set()
    bookmark, until = NOON - timedelta(days=400, microseconds=1), NOON
    first = int(bookmark.timestamp()) // HOUR * HOUR
    checkpoints.advance(BOT, bookmark, until, {first: 7, first + 2 * HOUR: 5})
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert partition["replication_key_value"] == "2025-08-17T11:59:59.999999+00:00"
    assert partition["per_hour"] == {"since": "2025-08-17T11:00:00Z", "counts": [7, 0, 5]}
    again, _ = checkpoints_of(partition)
    assert again.resume(BOT) == Resume(bookmark, until, {first: 7, first + HOUR: 0, first + 2 * HOUR: 5})
    assert again.bots == {"bot"}


def test_a_bookmark_that_somebody_has_set_back_counts_alone() -> None:
    checkpoints, _ = checkpoints_of(
        {"replication_key_value": "2026-09-10", "complete_since": "2026-09-20", "complete_until": "2026-09-21"}
    )
    assert checkpoints.resume(BOT).complete_until is None
    assert checkpoints.resume(BOT).bookmark == datetime(2026, 9, 10, tzinfo=UTC)


def test_neither_time_moves_backwards() -> None:
    checkpoints, writer = checkpoints_of(
        {"replication_key_value": "2026-09-20", "complete_since": "2026-09-20", "complete_until": "2026-09-21"}
    )
    day = datetime(2026, 9, 20, tzinfo=UTC)
    checkpoints.advance(BOT, day - timedelta(days=1), day - timedelta(days=1), {})
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert partition["replication_key_value"].startswith("2026-09-20")
    assert partition["complete_until"].startswith("2026-09-21")
    checkpoints.advance(BOT, None, NOON, {})
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert partition["replication_key_value"].startswith("2026-09-20")
    assert partition["complete_until"].startswith("2026-09-21T12")


def test_a_week_of_counts_is_kept() -> None:
    checkpoints, writer = checkpoints_of()
    last = int(NOON.timestamp())
    checkpoints.advance(BOT, NOON, NOON, {last - number * HOUR: number + 1 for number in range(1_000)})
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert len(partition["per_hour"]["counts"]) == 168
    assert partition["per_hour"]["counts"][-1] == 1


def test_nothing_is_written_before_the_first_record_and_for_a_full_table() -> None:
    checkpoints, writer = checkpoints_of()
    checkpoints.advance(BOT, None, NOON, {})
    assert writer.output.messages == []
    checkpoints, writer = checkpoints_of({"replication_key_value": "2026-09-20"}, catalog=full_table())
    assert checkpoints.resume(BOT) == Resume()
    assert checkpoints.bots == set()
    checkpoints.advance(BOT, NOON, NOON, {})
    assert writer.output.messages == []


def test_the_counts_of_version_1_0_are_removed() -> None:
    checkpoints, writer = checkpoints_of({"replication_key_value": "2026-09-20", "recent_counts": [["a", "b", 5]]})
    assert checkpoints.resume(BOT).per_hour == {}
    checkpoints.advance(BOT, NOON, NOON, {})
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert "recent_counts" not in partition


@pytest.mark.parametrize("key", ["replication_key_value", "complete_until"])
def test_a_time_later_than_now_counts_as_now_and_the_state_heals(caplog: pytest.LogCaptureFixture, key: str) -> None:
    given = {"replication_key_value": "2026-09-01", "complete_until": "2026-09-01", key: "9999-01-01"}
    given["complete_since"] = given["replication_key_value"]
    with time_machine.travel(NOON, tick=False):
        checkpoints, writer = checkpoints_of(given)
        resume = checkpoints.resume(BOT)
        checkpoints.resume(BOT)
        checkpoints.advance(BOT, NOON, NOON, {})
    assert {resume.bookmark, resume.complete_until} == {NOON, datetime(2026, 9, 1, tzinfo=UTC)}
    (warning,) = [line for line in caplog.messages if "later than now" in line]
    assert warning.startswith("Bot 'bot', stream 'conversations': 9999-01-01 00:00:00+00:00 in the state")
    (partition,) = writer.output.state["bookmarks"]["conversations"]["partitions"]
    assert partition[key].startswith("2026-09-21T12:00")


EDITED = [
    None,
    7,
    "text",
    [7],
    {},
    {"since": "soon", "counts": [5]},
    {"since": "2026-09-20T00:00:00Z", "counts": 5},
    {"since": "2026-09-20T00:00:00Z", "counts": [-5]},
    {"since": "2026-09-20T00:00:00Z", "counts": [10**15]},
    {"since": "2026-09-20T00:00:00Z", "counts": [0.5]},
    {"since": "2026-09-20T00:00:00Z", "counts": [None]},
]


@pytest.mark.parametrize("per_hour", EDITED)
def test_counts_that_somebody_has_edited_are_none(per_hour: Any) -> None:
    checkpoints, _ = checkpoints_of({"replication_key_value": "2026-09-20", "per_hour": per_hour})
    assert checkpoints.resume(BOT).per_hour == {}
    assert checkpoints.resume(BOT).bookmark


@pytest.mark.parametrize("per_hour", [{"since": "2026-09-20T00:00:00Z", "counts": [7] * 100}, "edited"])
def test_wrong_counts_lose_nothing(serve: Serve, per_hour: Any) -> None:
    _, url = serve()
    config = config_for(url, start_date="2026-09-01", end_date="2026-09-22")
    first = sync({**config, "end_date": "2026-09-20T12:00:00Z"})
    for stream in ("conversations", "messages"):
        first.state["bookmarks"][stream]["partitions"][0]["per_hour"] = per_hour
    second = sync(config, first.state)
    whole = sync(config)
    for stream in ("conversations", "messages"):
        assert first.newest(stream).keys() | second.newest(stream).keys() == whole.newest(stream).keys()
