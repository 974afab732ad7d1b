"""The machine's clock: it jumps, it is in any time zone, and the calendar has its odd days."""

import os
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine
from flask import Response

from sandbox.archive import DAY, Archive
from sandbox.server import TIME_FORMATS
from tap_deepconverse.records.values import format_time, parse_time
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for, lost, sync

ZONES = ("America/New_York", "Pacific/Chatham", "Europe/Berlin", "UTC")
ODD_DAYS = {
    "spring forward in New York": "2026-03-08T12:00:00+00:00",
    "leap day": "2024-02-29T12:00:00+00:00",
    "fall back in Berlin": "2026-10-25T12:00:00+00:00",
    "leap second and year's end": "2017-01-01T00:00:00+00:00",
}


def around(moment: int) -> Archive:
    """A bot that has talked for two days around a moment, most in the hours about it."""
    archive = Archive(seed=5)
    archive.add_bot("bot", 40, moment - DAY, moment + DAY)
    for minute in range(-60, 60, 5):
        archive.hold_conversation("bot", moment + minute * 60_000, moment + DAY)
    return archive


@pytest.mark.parametrize(("day", "zone"), list(zip(ODD_DAYS, ZONES, strict=True)))
def test_odd_days_are_whole_in_any_time_zone(serve: Serve, write_json: WriteJson, day: str, zone: str) -> None:
    moment = int(datetime.fromisoformat(ODD_DAYS[day]).timestamp() * 1000)
    sandbox, url = serve(around(moment), times=TIME_FORMATS[len(day) % len(TIME_FORMATS)])
    start, middle, end = (format_time(parse_time(moment + days * DAY)) for days in (-2, 0, 2))
    config = config_for(url, start_date=start, window_days=1)
    first = sync({**config, "end_date": middle})
    state = write_json(first.state, "state.json")
    done = command(
        "--config", write_json({**config, "end_date": end}), "--state", state, env={**os.environ, "TZ": zone}
    )
    assert done.status == 0
    assert lost(sandbox, first, done) == []


@pytest.mark.parametrize(
    ("wrong_by", "jump"),
    [
        (timedelta(0), timedelta(hours=-1)),
        (timedelta(0), timedelta(days=400)),
        (timedelta(hours=-2), timedelta(0)),
        (timedelta(days=3), timedelta(0)),
    ],
)
def test_a_clock_that_jumps_during_a_run_or_is_wrong_loses_nothing_in_two(
    serve: Serve, wrong_by: timedelta, jump: timedelta
) -> None:
    now = datetime.now(UTC)
    archive = Archive(seed=5)
    until = int(now.timestamp() * 1000) - 60_000
    archive.add_bot("bot", 60, until - 10 * DAY, until)
    sandbox, url = serve(archive)
    config = config_for(url, start_date=format_time(now - timedelta(days=11)), window_days=1, concurrency=3)
    asked = count(1)
    with time_machine.travel(now + wrong_by, tick=True) as clock:

        def jump_at_the_fifth(answer: Response) -> Response:
            if next(asked) == 5:
                clock.shift(jump)
            return answer

        sandbox.fault = jump_at_the_fifth
        first = sync(config)
        assert next(asked) > 6
        clock.move_to(now + timedelta(minutes=1))
        archive.live(archive.lived_until + 30_000)
        assert lost(sandbox, first, sync(config, first.state)) == []


def test_waits_go_by_what_passes_and_not_by_what_the_clock_says(serve: Serve) -> None:
    """A clock that jumps an hour back at each response makes no wait an hour long."""
    sandbox, url = serve(requests_per_second=5)
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:

        def jump_each_time(answer: Response) -> Response:
            clock.shift(timedelta(hours=-1 if len(sandbox.requests) % 2 else 1))
            return answer

        sandbox.fault = jump_each_time
        output = sync(config_for(url, requests_per_second=5, start_date="2026-09-01", end_date="2026-09-22"))
    assert output.records("messages")
