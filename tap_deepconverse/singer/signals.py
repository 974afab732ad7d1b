"""Ends the process on a signal: soon, after the current message, and with a status that is not success."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from tap_deepconverse.singer.writer import PageWriter

SECONDS_TO_END = 5

_last_resort: list[threading.Timer] = []


class TerminatedError(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)
        self.signal_name = signal.Signals(signal_number).name


def terminate(signal_number: int, writer: Any) -> None:
    """End the process as soon as the writer, if it is a `PageWriter`, has no half-written message.

    Raises:
        TerminatedError: At once, or after the current write.
    """

    def end() -> None:
        raise TerminatedError(signal_number)

    if not _last_resort:
        # The target may have stopped reading, or a request may hang.
        timer = threading.Timer(SECONDS_TO_END, os._exit, [128 + signal_number])
        timer.daemon = True
        timer.start()
        _last_resort.append(timer)
    if isinstance(writer, PageWriter):
        writer.when_whole(end)
    else:
        end()
