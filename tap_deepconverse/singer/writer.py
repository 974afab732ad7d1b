"""Writes Singer messages to standard output, many at a time."""

import select
import sys
from contextlib import suppress

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import SyncError
from singer_sdk.singerlib.messages import Message, RecordMessage, SchemaMessage
from typing_extensions import override

PAGE_BYTES = 1 << 20
GOES_ON = "The next run goes on from the last state that the loader confirmed."
TARGET_GONE = f"The target has stopped reading: see its log. {GOES_ON}"


class PageWriter(MsgSpecWriter):
    """Collects records and writes many at once: the SDK's writer makes two system calls per record.

    Any other message is written at once, after the records before it. A SCHEMA that repeats the stream's last one is
    dropped. The caller flushes after the last record.
    """

    def __init__(self) -> None:
        self._lines = bytearray()
        self._schemas: dict[str, bytes] = {}
        self._is_writing = False
        self._ending: BaseException | None = None

    @override
    def write_message(self, message: Message) -> None:
        line = bytes(self.format_message(message))
        if isinstance(message, SchemaMessage):
            if self._schemas.get(message.stream) == line:
                return
            self._schemas[message.stream] = line
        self._lines += line
        if len(self._lines) >= PAGE_BYTES or not isinstance(message, RecordMessage):
            self.flush()

    def flush(self) -> None:
        """Write the collected messages; raise `SyncError` if the target no longer reads."""
        if not self._lines:
            return
        lines, self._lines = self._lines, bytearray()
        self._is_writing = True
        try:
            _write(lines)
        except BrokenPipeError:
            raise self._ending or SyncError(TARGET_GONE) from None
        finally:
            self._is_writing = False
        if self._ending:
            raise self._ending

    def check_target(self) -> None:
        """Write the collected messages; raise `SyncError` if the target no longer reads."""
        self.flush()
        with suppress(AttributeError, OSError, ValueError):  # Windows has no `poll`, and not each output is a file
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)  # what is told anyway: an error, or that nobody reads
            if poll.poll(0):
                raise SyncError(TARGET_GONE)

    def stop(self, ending: BaseException) -> None:
        """Raise an error as soon as no line is half written: now, or after the current write. Collected lines go."""
        if self._is_writing:
            self._ending = ending
            return
        self._lines.clear()
        raise ending


def _write(lines: bytearray) -> None:
    """Write all lines to standard output, which may be unbuffered, and may be a pipe that does not wait."""
    sys.stdout.flush()
    out = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    rest = memoryview(lines)
    while rest:
        written = out.write(rest)
        if written is None:
            select.select([], [out], [])  # until the pipe has room
        else:
            rest = rest[written:]
