from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tap_deepconverse.pace import Pace, StoppedError
from tap_deepconverse.readers import PAGES_WAITING, Readers
from tap_deepconverse.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGES = 5


class Source:
    """Twenty windows of five pages each."""

    def __init__(self) -> None:
        self.windows = iter([Window(day, day + 1) for day in range(20)])
        self.lock = threading.Lock()
        self.read = 0

    def next_window(self) -> Window | None:
        with self.lock:
            return next(self.windows, None)

    def pages(self, window: Window) -> Iterator[str]:
        for page in range(PAGES):
            with self.lock:
                self.read += 1
            yield f"{window.start}.{page}"


def readers_of(source: Source, number: int, pages: Callable[[Window], Iterator[str]] | None = None) -> Readers[str]:
    return Readers(number, source.next_window, pages or source.pages, threading.Event())


def nothing() -> None:
    pass


def take(readers: Readers[str], whole: list[int], refused: int | None = None) -> None:
    """Take what is read, and note the windows that are whole. One of them cannot be handed on."""
    for window, page in readers.parts(nothing):
        if window.start == refused and page:
            readers.fail(window, ValueError("not this one"))
        elif page is None:
            whole.append(window.start)


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


@pytest.mark.parametrize("number", [1, 3, 16])
def test_every_page_comes_and_then_the_end_of_its_window(number: int) -> None:
    pages: dict[Window, list[str | None]] = {}
    for window, page in readers_of(Source(), number).parts(nothing):
        pages.setdefault(window, []).append(page)
    assert len(pages) == 20
    for window, of_window in pages.items():
        assert of_window == [*(f"{window.start}.{page}" for page in range(PAGES)), None]


def test_reading_stops_while_nobody_takes_the_pages() -> None:
    source = Source()
    parts = readers_of(source, 4).parts(nothing)
    next(parts)
    time.sleep(0.3)
    assert source.read <= 4 + PAGES_WAITING + 1
    parts.close()  # type: ignore[attr-defined]


def test_an_error_in_one_reader_ends_all() -> None:
    source = Source()

    def failing(window: Window) -> Iterator[str]:
        yield from source.pages(window)
        if window.start == 3:
            message = "no more"
            raise OSError(message)

    with pytest.raises(OSError, match="no more"):
        list(readers_of(source, 3, failing).parts(nothing))
    assert source.read < 20 * PAGES


def test_windows_before_one_that_fails_are_brought_to_their_end() -> None:
    source = Source()

    def failing(window: Window) -> Iterator[str]:
        if window.start == 3:
            message = "no more"
            raise OSError(message)
        for page in source.pages(window):
            time.sleep(0.02)
            yield page

    whole: list[int] = []
    with pytest.raises(OSError, match="no more"):
        take(readers_of(source, 8, failing), whole)
    assert sorted(whole) == [0, 1, 2]


def test_a_window_may_also_fail_where_it_is_handed_on() -> None:
    whole: list[int] = []
    with pytest.raises(ValueError, match="not this one"):
        take(readers_of(Source(), 4), whole, refused=5)
    assert set(whole) >= {0, 1, 2, 3, 4}
    assert 5 not in whole


def test_somebody_is_called_every_second() -> None:
    class TooLongError(Exception):
        pass

    def slowly(_: Window) -> Iterator[str]:
        time.sleep(1.5)
        yield "late"

    def give_up() -> None:
        raise TooLongError

    with pytest.raises(TooLongError):
        list(readers_of(Source(), 2, slowly).parts(give_up))


def test_turns_are_spread_evenly_over_all_threads() -> None:
    pace, stopped, turns = Pace(20), threading.Event(), []

    def ask() -> None:
        for _ in range(4):
            pace.wait(stopped)
            turns.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns.sort()
    # A late wake-up may shorten the next gap, but nothing may come in a burst.
    assert turns[-1] - turns[0] >= 15 * 0.050
    assert all(later - earlier >= 0.5 for earlier, later in zip(turns, turns[11:], strict=False))


def test_a_pause_is_for_all_threads() -> None:
    pace, stopped, turns = Pace(100), threading.Event(), []
    pace.hold(0.3)
    began = time.monotonic()

    def ask() -> None:
        pace.wait(stopped)
        turns.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(turns) >= 0.3


def test_a_pause_is_also_for_a_turn_that_is_being_waited_for_or_kept() -> None:
    pace, stopped = Pace(4), threading.Event()
    began = time.monotonic()
    pace.wait(stopped)
    threading.Timer(0.1, pace.hold, [0.5]).start()
    pace.wait(stopped)
    assert time.monotonic() - began >= 0.6
    pace.wait_ahead(stopped, lambda: True)
    began = time.monotonic()
    pace.hold(0.3)
    pace.wait(stopped)
    assert time.monotonic() - began >= 0.3


def test_a_turn_that_was_waited_for_ahead_is_not_waited_for_again() -> None:
    pace, stopped = Pace(1), threading.Event()
    pace.wait_ahead(stopped, lambda: True)
    began = time.monotonic()
    pace.wait(stopped)
    assert time.monotonic() - began < 0.9


def test_what_has_begun_comes_before_what_is_new() -> None:
    pace, stopped, order = Pace(20), threading.Event(), []
    pace.wait(stopped)

    def begin() -> None:
        pace.wait_ahead(stopped, lambda: True)
        order.append("new")

    def go_on() -> None:
        for _ in range(3):
            pace.wait(stopped)
            order.append("begun")

    threads = [threading.Thread(target=go_on), *(threading.Thread(target=begin) for _ in range(3))]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert order[-2:] == ["new", "new"]


def test_whoever_waits_when_all_is_over_is_let_go() -> None:
    pace, stopped, let_go = Pace(1), threading.Event(), count()
    pace.hold(60)

    def ask(wait: Callable[[threading.Event], None]) -> None:
        with pytest.raises(StoppedError):
            wait(stopped)
        next(let_go)

    def ahead(stopped: threading.Event) -> None:
        pace.wait_ahead(stopped, lambda: True)

    threads = [threading.Thread(target=ask, args=[wait]) for wait in (pace.wait, ahead, pace.wait)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    stopped.set()
    for thread in threads:
        thread.join(5)
    assert next(let_go) == 3


def test_no_turn_is_taken_for_what_is_not_wanted_any_more() -> None:
    pace, stopped = Pace(1), threading.Event()
    began = time.monotonic()
    for _ in range(5):
        pace.wait_ahead(stopped, lambda: False)
    pace.wait(stopped)
    assert time.monotonic() - began < 0.9


def test_a_failure_to_find_the_next_window_ends_the_reading() -> None:
    source = Source()

    def fail_after_three() -> Window | None:
        window = source.next_window()
        if window and window.start == 3:
            msg = "no more"
            raise ValueError(msg)
        return window

    readers = Readers(2, fail_after_three, source.pages, threading.Event())
    with pytest.raises(ValueError, match="no more"):
        take(readers, [])
