from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tap_deepconverse.progress import Progress, in_words

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_report_every_few_seconds_and_a_summary() -> None:
    now = [100.0]
    progress = Progress(START, START + timedelta(days=10), clock=lambda: now[0])
    progress.records = 5_000
    now[0] += 4
    assert progress.report(START + timedelta(days=1)) is None
    now[0] += 6
    progress.records = 20_000
    assert progress.report(START + timedelta(days=2.5)) == (
        "read until 2026-01-03 12:00 UTC, 25% of the span; 20,000 records, 2,000 a second; about 30 s left"
    )
    now[0] += 1
    assert progress.report(START + timedelta(days=3)) is None
    progress.windows = 1
    assert progress.summary() == "20,000 records from 2026-01-01 00:00 to 2026-01-11 00:00 UTC in 1 window, 11 s"


def test_durations_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 119, 120, 7100, 7200, 100_000)] == [
        "0 s", "119 s", "2 min", "118 min", "2.0 h", "27.8 h",
    ]  # fmt: skip
