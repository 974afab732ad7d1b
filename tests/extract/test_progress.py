from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tap_deepconverse.extract.progress import Progress

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress_of(clock: Clock) -> Progress:
    progress = Progress(START, START + timedelta(days=10), clock=clock)
    clock.now += 5  # what comes before it begins does not count
    progress.begin()
    return progress


def come(progress: Progress, clock: Clock, seconds: int, records_a_second: int) -> list[str]:
    """Let records come, a page a second; gives what is reported."""
    lines = []
    for second in range(seconds):
        clock.now += 1
        progress.records += records_a_second
        if progress.is_due:
            lines.append(progress.report(START + timedelta(days=1, seconds=second), 120_000))
    return lines


def test_a_report_every_ten_seconds_and_a_summary() -> None:
    clock = Clock()
    progress = progress_of(clock)
    lines = come(progress, clock, 41, 1_000)
    assert len(lines) == 4
    assert lines[0] == "complete until 2026-01-02 00:00 UTC; 10,000 records, 1,000 a second"
    assert lines[-1] == "complete until 2026-01-02 00:00 UTC; 40,000 records, 1,000 a second; about 2 min left"
    progress.windows = 1
    assert progress.summary() == "41,000 records from 2026-01-01 00:00 to 2026-01-11 00:00 UTC in 1 window, 41 s"
    progress.windows = 1_200
    assert "in 1,200 windows, 41 s" in progress.summary()


def test_the_time_left_goes_by_the_last_minute() -> None:
    clock = Clock()
    progress = progress_of(clock)
    come(progress, clock, 600, 10)
    assert come(progress, clock, 80, 1_000)[-1].endswith("1,000 a second; about 2 min left")


def test_nothing_is_said_of_a_time_left_that_cannot_be_told() -> None:
    clock = Clock()
    progress = progress_of(clock)
    come(progress, clock, 29, 1_000)
    clock.now += 1
    assert progress.is_due
    assert " left" not in progress.report(START, None)
    clock.now += 100
    assert progress.is_due
    assert " left" not in progress.report(START, 5_000)  # nothing has come lately
