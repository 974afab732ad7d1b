"""What a signal to end does: what is half said is said, and the process ends at once and not as a success."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from tap_deepconverse.writer import PageWriter

if TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.singerlib.encoding.base import GenericSingerWriter

SECONDS_TO_END = 5


class TerminatedError(SystemExit):
    """The process has been asked to end."""

    def __init__(self, signal_number: int) -> None:
        """End with the status that shells expect.

        Args:
            signal_number: The signal that asked for it.
        """
        super().__init__(128 + signal_number)
        self.signal_name = signal.Signals(signal_number).name


def end_on_signals(writer: GenericSingerWriter[Any, Any]) -> None:
    """End the process on SIGTERM and SIGINT, as soon as no message is half written.

    The SDK ends with status 0 then, which tells whoever runs the tap that its work is whole. The last
    checkpoint needs no writing: a STATE goes out with each.

    Args:
        writer: Writes the messages.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def end(signal_number: int, _: FrameType | None) -> None:
        if hasattr(signal, "alarm"):
            # Should the target not read any more, or anything else hang, the system ends the process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS_TO_END)

        def terminate() -> None:
            raise TerminatedError(signal_number)

        if isinstance(writer, PageWriter):
            writer.when_whole(terminate)
        else:
            sys.exit(128 + signal_number)

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, end)
