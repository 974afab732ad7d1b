"""How many requests and how long a run takes, in simulated time: the same on every machine."""

import pytest

from tests.simulation import DAY, NOW, Api, Outcome, simulate, span_of, times_of

BOOKMARK = NOW - 3600
"""Where an hourly run's bookmark stands: it reads a day more, of which it has read all but the last hour before."""

LIMIT = 21 / 3 + 2 - 0.6
"""Seconds that an hourly run of 21,000 records takes at the limit, at 2 s an answer, less the start of the process."""


def hourly_after_another(shape: str, grown: int = 1) -> Outcome:
    times = times_of(21_000, 26 / 24, shape)
    before = [time for number, time in enumerate(times) if time < NOW - 3600 and number % grown == 0]
    earlier = span_of(NOW - 90 * DAY, NOW - 3600, bookmark=BOOKMARK - 3600)
    simulate([earlier], [Api(before)], 2)
    return simulate([span_of(NOW - 90 * DAY, bookmark=BOOKMARK, counted=earlier.counts)], [Api(times)], 2)


@pytest.mark.parametrize("shape", ["rhythm", "even", "two_peaks"])
def test_an_hourly_run_knows_from_the_one_before_how_busy_the_bot_is(shape: str) -> None:
    outcome = hourly_after_another(shape)
    assert outcome.records > 19_000
    assert outcome.requests <= 25
    assert outcome.seconds <= 1.2 * LIMIT + 1


def test_a_bot_that_has_grown_threefold_since_the_last_run_takes_few_requests_more() -> None:
    assert hourly_after_another("rhythm", 3).requests <= 35


def test_an_hourly_run_that_knows_nothing_finds_out_soon() -> None:
    outcome = simulate([span_of(NOW - 90 * DAY, bookmark=BOOKMARK)], [Api(times_of(20_000, 25 / 24))], 2)
    assert outcome.records >= 20_000
    assert outcome.requests <= 30
    assert outcome.seconds <= 1.65 * LIMIT


def test_pages_that_the_server_cuts_shorter_are_read_as_many_at_once() -> None:
    whole, outcome = (
        simulate([span_of(NOW - 90 * DAY, bookmark=BOOKMARK)], [Api(times_of(20_000, 25 / 24), clamp=clamp)], 2)
        for clamp in (1000, 250)
    )
    assert outcome.records >= 20_000
    assert outcome.requests <= 4 * whole.requests
    assert outcome.seconds <= 4.5 * whole.seconds
    assert outcome.most_at_once >= 5


@pytest.mark.parametrize("records", [0, 100])
def test_quiet_bots_take_a_request_each_for_each_stream_at_the_same_time(records: int) -> None:
    spans = [span_of(NOW - 90 * DAY, bookmark=BOOKMARK) for _ in range(40)]
    names = ["conversations", "messages"] * 20
    apis = [Api(times_of(records, 25 / 24, seed=seed), name=name) for seed, name in enumerate(names)]
    outcome = simulate(spans, apis, 2)
    assert outcome.requests == 40
    assert outcome.seconds <= 1.05 * (20 / 3 + 2)


def test_a_small_bot_is_filled_with_some_tens_of_requests() -> None:
    outcome = simulate([span_of(NOW - 3 * 365 * DAY)], [Api(times_of(2_000, 3 * 365))], 0.5)
    assert outcome.records >= 2_000
    assert outcome.requests <= 45


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ("rhythm", (1.14, 1.15, 1.2)),
        ("even", (1.14, 1.15, 1.2)),
        ("weekend", (1.2, 1.35, 1.65)),
        ("campaign", (1.5, 1.7, 2.4)),
        ("growing", (1.25, 1.45, 2.7)),
        ("shrinking", (1.25, 1.5, 1.8)),
        ("two_peaks", (1.15, 1.2, 1.3)),
    ],
)
def test_a_backfill_takes_little_longer_than_the_limit_wants(shape: str, most: tuple[float, float, float]) -> None:
    for answer, ratio in zip((0.5, 2, 5), most, strict=True):
        outcome = simulate([span_of(NOW - 90 * DAY)], [Api(times_of(60_000, 90, shape, 0))], answer)
        assert outcome.records >= 60_000
        assert outcome.most_beyond <= 45
        assert outcome.most_between_checkpoints <= 42_000
        assert (outcome.seconds + 0.6) / (60 / 3 + (answer if answer >= 2 else 0)) <= ratio


def test_a_large_backfill_wastes_next_to_nothing() -> None:
    outcome = simulate([span_of(NOW - 90 * DAY)], [Api(times_of(600_000, 90, "even"))], 0.5)
    assert outcome.records >= 600_000
    assert outcome.requests <= 636
    assert outcome.most_between_checkpoints <= 30_000


def test_silence_that_ends_in_a_dense_month_costs_few_requests_more_than_the_month() -> None:
    outcome = simulate([span_of(NOW - 760 * DAY)], [Api(times_of(150_000, 30))], 2)
    assert outcome.records >= 150_000
    assert outcome.requests <= 260
    assert outcome.most_beyond <= 45


@pytest.mark.parametrize("shape", ["rhythm", "campaign"])
def test_the_order_of_records_makes_no_difference(shape: str) -> None:
    times = times_of(20_000, 30, shape)
    rising, in_none = (simulate([span_of(NOW - 30 * DAY)], [Api(times, order)], 2) for order in (True, False))
    assert (rising.requests, rising.seconds) == (in_none.requests, in_none.seconds)
