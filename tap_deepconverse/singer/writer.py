"""Writes Singer messages to standard output, many at a time."""

from __future__ import annotations

import os
import select
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import SyncError
from singer_sdk.singerlib.messages import RecordMessage
from typing_extensions import override

from tap_deepconverse.api.sentences import STDOUT_CLOSED, STDOUT_FAILS, TARGET_GONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.singerlib.messages import Message

PAGE_BYTES = 1 << 20


class TargetGoneError(SyncError):
    """The target no longer reads, or standard output cannot be written."""

    def __init__(self, sentence: str = TARGET_GONE()) -> None:
        super().__init__(sentence)


def require_stdout() -> None:
    """Raise `TargetGoneError` if the process was started without standard output."""
    if sys.stdout is None:
        raise TargetGoneError(STDOUT_CLOSED())


def forget_stdout() -> None:
    """Keep Python from writing again at exit what could not be written."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        with suppress(AttributeError, OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class PageWriter(MsgSpecWriter):
    """Collects records and writes many at once: the SDK's writer makes two system calls per record.

    Any other message is written at once, after the records before it. The caller flushes after the last record.
    """

    def __init__(self) -> None:
        self._lines = bytearray()
        self._is_writing = False
        self._after_writing: Callable[[], None] | None = None

    @override
    def write_message(self, message: Message) -> None:
        self._lines += self.format_message(message)
        if len(self._lines) >= PAGE_BYTES or not isinstance(message, RecordMessage):
            self.flush()

    def flush(self) -> None:
        """Write the collected messages; raise `TargetGoneError` if the target no longer reads, or the disk is full."""
        if not self._lines or self._is_writing:
            return
        lines, self._lines = self._lines, bytearray()
        self._is_writing = True
        try:
            # Unbuffered standard output may take only a part, and returns how much.
            rest = memoryview(lines)
            while rest:
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            forget_stdout()
            raise TargetGoneError from None
        except OSError as error:
            forget_stdout()
            raise TargetGoneError(STDOUT_FAILS(reason=error.strerror or type(error).__name__)) from None
        finally:
            self._is_writing = False
        if self._after_writing:
            self._after_writing()

    @contextmanager
    def flushed(self) -> Iterator[None]:
        """Flush when the block ends or fails."""
        try:
            yield
        finally:
            self.flush()

    def tend(self) -> None:
        """Write the collected messages; raise `TargetGoneError` if the target no longer reads."""
        self.flush()
        self.check_target()

    def check_target(self) -> None:
        """Raise `TargetGoneError` if the target no longer reads. Works only on systems with `poll`."""
        if not hasattr(select, "poll"):
            return
        gone = select.POLLERR | select.POLLHUP
        poll = select.poll()
        try:
            poll.register(sys.stdout.fileno(), gone)
        except (OSError, ValueError):  # standard output is an object of this process, not a file
            return
        if any(event & gone for _, event in poll.poll(0)):
            raise TargetGoneError

    def when_whole(self, action: Callable[[], None]) -> None:
        """Call `action` as soon as no line is half written: now, or after the current write."""
        if self._is_writing:
            self._after_writing = action
        else:
            action()
