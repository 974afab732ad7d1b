"""The forecast and the planner by themselves: nothing left out, whatever they are told."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.extract.forecast import Forecast
from tap_deepconverse.extract.plan import Planner
from tap_deepconverse.extract.window import HOUR, Window

DAY = 86_400
START = 1_700_000_000 // DAY * DAY


@given(st.integers(1, 100_000), st.integers(1, 50))
def test_parts_cover_a_window_without_a_gap(length: int, number: int) -> None:
    parts = Window(5, 5 + length).parts(number)
    assert parts[0].start == 5
    assert parts[-1].end == 5 + length
    assert all(before.end == after.start for before, after in itertools.pairwise(parts))
    assert all(part.length > 0 for part in parts)


@given(
    length=st.integers(1, 40 * DAY),
    held=st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=60),
    in_flight=st.floats(0.1, 16),
    counted=st.dictionaries(st.integers(0, 72).map(lambda hour: START + hour * HOUR), st.integers(0, 5_000)),
)
def test_windows_cover_the_span_in_order_whatever_they_hold(
    length: int, held: list[tuple[int, bool]], in_flight: float, counted: dict[int, int]
) -> None:
    planner = Planner(Window(START, START + length), longest=30 * DAY, first=DAY, forecast=Forecast(counted))
    at, outcomes = START, iter(held)
    for _ in range(5_000):
        if planner.next_start is None:
            break
        read = planner.next(in_flight, 1_000, 1_000)
        assert read.window.start == at
        assert 0 < read.window.length <= 30 * DAY
        records, is_cut = next(outcomes, (0, False))
        if is_cut and read.window.length > 13:
            read.sizes += [1_000] * 3
            planner.cut(read, in_flight, 1_000)
            continue
        planner.forecast.learn(read.window, records, {})
        at = read.window.end
    assert at == START + length


def test_silence_does_not_predict_what_follows_it() -> None:
    forecast = Forecast({})
    for week in range(50):
        forecast.learn(Window(START + week * 7 * DAY, START + (week + 1) * 7 * DAY), 0, {})
    forecast.learn(Window(START + 350 * DAY, START + 351 * DAY), 1_000, {})
    assert forecast.expected(Window(START + 351 * DAY, START + 352 * DAY)) == pytest.approx(1_000)
