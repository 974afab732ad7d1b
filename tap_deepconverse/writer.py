"""Singer messages written to standard output a page at a time."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import SyncError
from singer_sdk.singerlib.messages import RecordMessage
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.singerlib.messages import Message

PAGE_BYTES = 1 << 20


class TargetGoneError(SyncError):
    """The target does not read any more."""

    def __init__(self) -> None:
        """Say so, and what to do."""
        super().__init__("The target has stopped reading: see its log. The next run goes on from the last checkpoint.")


class PageWriter(MsgSpecWriter):
    """Collects records and writes them many at once; whatever else there is to say goes out at once.

    The SDK's writer makes two system calls a record. A STATE is never written before the records that
    came before it. Whoever hands on records flushes when there are no more for now.
    """

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._lines = bytearray()
        self._is_writing = False
        self._after_writing: Callable[[], None] | None = None

    @override
    def write_message(self, message: Message) -> None:
        """Write a message, after those before it.

        Args:
            message: A Singer message.
        """
        self._lines += self.format_message(message)
        if len(self._lines) >= PAGE_BYTES or not isinstance(message, RecordMessage):
            self.flush()

    def flush(self) -> None:
        """Write what has been collected.

        Raises:
            TargetGoneError: If nobody reads any more.
        """
        if not self._lines or self._is_writing:
            return
        lines, self._lines = self._lines, bytearray()
        self._is_writing = True
        try:
            # Unbuffered standard output may take a part only, and says how much.
            rest = memoryview(lines)
            while rest:
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # What Python itself still holds has nowhere to go; it would try once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise TargetGoneError from None
        finally:
            self._is_writing = False
        if self._after_writing:
            self._after_writing()

    def check_target(self) -> None:
        """See whether somebody still reads, where the system can tell.

        Raises:
            TargetGoneError: If nobody does.
        """
        if not hasattr(select, "poll"):
            return
        gone = select.POLLERR | select.POLLHUP
        poll = select.poll()
        try:
            poll.register(sys.stdout.fileno(), gone)
        except (OSError, ValueError):  # no file, but something in this process
            return
        if any(event & gone for _, event in poll.poll(0)):
            raise TargetGoneError

    def when_whole(self, action: Callable[[], None]) -> None:
        """Do something as soon as no line is half written.

        Args:
            action: What to do: now, or after the write that is under way.
        """
        if self._is_writing:
            self._after_writing = action
        else:
            action()
