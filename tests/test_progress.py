"""The log's lines of progress, for the person who watches."""

import logging
import re
from itertools import count, pairwise

import pytest
from singer_sdk.singerlib import Message
from typing_extensions import override

from sandbox.archive import DAY, Archive
from tap_deepconverse.client import ExportStream
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW, Serve
from tests.support import Collector, Time, config_for

REPORT = re.compile(
    r"Bot 'bot', stream '\w+': complete until 2026-0\d-\d\d \d\d:\d\d UTC; [\d,]+ records, [\d,]+ a second"
    r"(; about \d+ (s|min) left)?"
)


@pytest.mark.parametrize("records_a_second", [5, 80])
def test_progress_is_reported_every_ten_to_fifteen_seconds_however_slow_the_target_is(
    serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture, records_a_second: int
) -> None:
    archive.add_bot("bot", 400, NOW - DAY, NOW)
    _, url = serve()
    clock = Time()

    class SlowTarget(Collector):
        @override
        def write_message(self, message: Message) -> None:
            if "record" in message.to_dict():
                clock.seconds += 1 / records_a_second

    class Reports(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            if "complete until" in record.getMessage():
                lines.append(record.getMessage())
                reported.append(clock.seconds)

    lines: list[str] = []
    caplog.set_level(logging.INFO)
    config = config_for(url, end_date="2026-09-22")
    tap = TapDeepConverse(config=config, message_writer=SlowTarget())
    for stream in tap.streams.values():
        assert isinstance(stream, ExportStream)
        stream.endpoint.clock = clock
        reported = [clock.seconds]
        handler = Reports()
        stream.logger.addHandler(handler)
        stream.sync()
        stream.logger.removeHandler(handler)
        assert all(9.9 < later - earlier <= 15 for earlier, later in pairwise(reported))
        assert clock.seconds - reported[-1] <= 15
    assert lines
    assert [line for line in lines if not REPORT.fullmatch(line)] == []


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
