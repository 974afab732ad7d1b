from __future__ import annotations

import io
import os
import signal
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk.singerlib.messages import StateMessage

from tap_deepconverse.singer import signals
from tap_deepconverse.singer.signals import SECONDS_TO_END, TerminatedError, terminate
from tap_deepconverse.singer.writer import PageWriter

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


class Timer:
    """Takes note of what would be done later."""

    made: list[tuple[Any, ...]]

    def __init__(self, *arguments: Any) -> None:
        Timer.made.append(arguments)

    def start(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    Timer.made = []
    monkeypatch.setattr(signals, "_last_resort", [])
    monkeypatch.setattr("threading.Timer", Timer)


@SIGNALS
def test_it_ends_at_once_with_the_status_that_shells_expect(number: signal.Signals) -> None:
    for writer in (None, PageWriter()):
        with pytest.raises(TerminatedError) as ending:
            terminate(number, writer)
        assert ending.value.code == 128 + number
        assert ending.value.signal_name == number.name


@SIGNALS
def test_it_does_not_end_within_a_message(number: signal.Signals) -> None:
    writer, written = PageWriter(), io.BytesIO()

    class Interrupted(io.BytesIO):
        def write(self, data: Any) -> int:
            terminate(number, writer)
            return written.write(data)

    with redirect_stdout(io.TextIOWrapper(Interrupted())), pytest.raises(TerminatedError):
        writer.write_message(StateMessage(value={"at": 5}))
    assert written.getvalue().endswith(b"}\n")


def test_what_hangs_is_ended_after_some_seconds_once() -> None:
    for _ in range(2):
        with pytest.raises(TerminatedError):
            terminate(signal.SIGTERM, None)
    assert Timer.made == [(SECONDS_TO_END, os._exit, [128 + signal.SIGTERM])]
