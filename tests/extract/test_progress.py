from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from sandbox.archive import DAY
from tap_deepconverse.client import ExportStream
from tap_deepconverse.extract.progress import Progress
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW
from tests.support import Collector, config_for

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message

    from sandbox.archive import Archive
    from tests.conftest import Serve

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress_of(clock: Clock) -> Progress:
    progress = Progress(START, START + timedelta(days=10), clock)
    clock.now += 5  # what comes before it begins does not count
    assert not progress.is_due()
    return progress


def come(progress: Progress, clock: Clock, seconds: int, records_a_second: int) -> list[str]:
    """Let records come, a page a second; gives what is reported."""
    lines = []
    for second in range(seconds):
        clock.now += 1
        progress.records += records_a_second
        if progress.is_due():
            lines.append(progress.report(START + timedelta(days=1, seconds=second), 120_000))
    return lines


def test_a_report_every_ten_seconds_and_a_summary() -> None:
    clock = Clock()
    progress = progress_of(clock)
    lines = come(progress, clock, 41, 1_000)
    assert len(lines) == 4
    assert lines[0] == "complete until 2026-01-02 00:00 UTC; 10,000 records, 1,000 a second; about 2 min left"
    assert lines[-1] == "complete until 2026-01-02 00:00 UTC; 40,000 records, 1,000 a second; about 2 min left"
    progress.windows = 1
    assert progress.summary() == "41,000 records from 2026-01-01 00:00 to 2026-01-11 00:00 UTC in 1 window, 41 s"
    progress.windows = 1_200
    assert "in 1,200 windows, 41 s" in progress.summary()


@pytest.mark.parametrize("records_a_second", [5, 80, 2_000])
def test_progress_is_reported_every_ten_to_fifteen_seconds_however_slow_the_target_is(
    serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture, records_a_second: int
) -> None:
    archive.add_bot("bot", 4_000 if records_a_second > 1_000 else 400, NOW - DAY, NOW)
    _, url = serve()
    clock = Clock()

    class SlowTarget(Collector):
        @override
        def write_message(self, message: Message) -> None:
            if "record" in message.to_dict():
                clock.now += 1 / records_a_second
            reported.update({clock.now: None} if "complete until" in caplog.text else {})
            caplog.clear()

    reported: dict[float, None] = {}
    tap = TapDeepConverse(config=config_for(url), message_writer=SlowTarget())
    for stream in tap.streams.values():
        assert isinstance(stream, ExportStream)
        stream.endpoint.clock = clock
        began = clock.now
        reported.clear()
        stream.sync()
        gaps = [later - earlier for earlier, later in pairwise([began, *reported])]
        assert all(9.9 < gap <= 15 for gap in gaps)
        assert clock.now - [began, *reported][-1] <= 15


def test_progress_is_reported_of_silence_too(serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    """For years perhaps, window by window: nobody is to think that the run hangs."""
    archive.add_bot("bot", 1, NOW - DAY, NOW)
    _, url = serve()
    caplog.set_level(logging.INFO)
    tap = TapDeepConverse(config=config_for(url, window_days=1), message_writer=Collector())
    stream = tap.streams["conversations"]
    assert isinstance(stream, ExportStream)
    stream.endpoint.clock = map(float, count()).__next__
    stream.sync()
    reports = [line for line in caplog.messages if "complete until" in line]
    assert len(reports) > 10
    assert any("; 0 records" in line for line in reports)
