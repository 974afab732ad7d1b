"""How many requests and how long a run takes, in simulated time: the same on every machine."""

from __future__ import annotations

from statistics import median

import pytest

from tests.simulation import DAY, NOW, Api, Outcome, simulate, span_of, times_of

BOOKMARK = NOW - 3600
"""Where an hourly run's bookmark stands: it reads a day more, of which it has read all but the last hour before."""

SECONDS_TO_START = 0.6
"""What the process itself takes, of which the simulation knows nothing."""

shapes = pytest.mark.parametrize("shape", ["rhythm", "even"])
orders = pytest.mark.parametrize("order", ["rising", "none"])
seeds = pytest.mark.parametrize("seed", [1, 2])


def hourly_after_another(shape: str, order: str, seed: int) -> Outcome:
    times = times_of(21_000, 26 / 24, shape=shape, seed=seed)
    earlier = span_of(NOW - 90 * DAY, NOW - 3600, bookmark=BOOKMARK - 3600)
    counts = simulate([earlier], [Api([time for time in times if time < NOW - 3600], order)], 2).counts
    return simulate([span_of(NOW - 90 * DAY, bookmark=BOOKMARK, counts=counts)], [Api(times, order)], 2)


@shapes
@orders
@seeds
def test_an_hourly_run_knows_from_the_one_before_how_busy_the_bot_is(shape: str, order: str, seed: int) -> None:
    outcome = hourly_after_another(shape, order, seed)
    assert outcome.records > 19_000
    assert outcome.requests <= 24
    assert outcome.seconds <= 9.7


@shapes
@orders
@seeds
def test_an_hourly_run_that_knows_nothing_finds_out_soon(shape: str, order: str, seed: int) -> None:
    times = times_of(20_000, 25 / 24, shape=shape, seed=seed)
    outcome = simulate([span_of(NOW - 90 * DAY, bookmark=BOOKMARK)], [Api(times, order)], 2)
    assert outcome.records == 20_000
    assert outcome.requests <= 28
    assert outcome.seconds <= 12.9


@pytest.mark.parametrize("records", [0, 100])
def test_quiet_bots_take_a_request_each(records: int) -> None:
    spans = [span_of(NOW - 90 * DAY, bookmark=BOOKMARK, name=f"bot {number}") for number in range(20)]
    outcome = simulate(spans, [Api(times_of(records, 25 / 24, seed=number)) for number in range(20)], 2)
    assert outcome.requests == 20
    assert outcome.seconds <= 8.4


@orders
def test_a_small_bot_is_filled_with_some_tens_of_requests(order: str) -> None:
    outcome = simulate([span_of(NOW - 3 * 365 * DAY)], [Api(times_of(2_000, 3 * 365), order)], 0.5)
    assert outcome.records == 2_000
    assert outcome.requests <= 41


@pytest.mark.parametrize(("answer", "ratio"), [(0.5, 1.11), (2, 1.12), (5, 1.2)])
def test_a_backfill_takes_little_longer_than_the_limit_wants(answer: float, ratio: float) -> None:
    minimum = 60 / 3 + (answer if answer >= 2 else 0)
    ratios = []
    for seed in range(4):
        for order in ("rising", "none"):
            outcome = simulate([span_of(NOW - 90 * DAY)], [Api(times_of(60_000, 90, seed=seed), order)], answer)
            assert outcome.records == 60_000
            ratios.append((outcome.seconds + SECONDS_TO_START) / minimum)
    assert median(ratios) <= ratio


def test_a_checkpoint_comes_at_least_every_thirty_thousand_records() -> None:
    outcome = simulate([span_of(NOW - 90 * DAY)], [Api(times_of(600_000, 90, shape="even"))], 0.5)
    assert outcome.records == 600_000
    assert outcome.requests <= 616
    assert outcome.most_between_checkpoints <= 26_000


@pytest.mark.parametrize("answer", [0.5, 2, 5])
@pytest.mark.parametrize(("order", "seed"), [("rising", 6), ("none", 8)])
def test_a_campaign_of_some_days_is_read_by_several_at_once(order: str, seed: int, answer: float) -> None:
    times = times_of(60_000, 90, shape="burst", seed=seed)
    outcome = simulate([span_of(NOW - 90 * DAY)], [Api(times, order)], answer)
    assert outcome.records >= 60_000
    assert outcome.seconds <= {0.5: 1.55 * 20, 2: 1.9 * 22, 5: 2.5 * 25}[answer]
    assert outcome.most_between_checkpoints <= 40_000
    assert outcome.most_beyond <= 45
