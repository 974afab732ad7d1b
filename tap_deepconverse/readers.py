"""Several windows read at once, by threads, in bounded memory."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from tap_deepconverse.pace import StoppedError
from tap_deepconverse.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

PAGES_WAITING = 2
"""How many pages may wait to be handed on, besides the one that each reader holds."""

SECONDS_FOR_EARLIER_WINDOWS = 5.0
"""How long windows before one that failed may still take: what is whole before it is not lost."""

SECONDS_TO_LEAVE = 0.2
"""How long to wait for threads that need not be waited for. Those that hang are left to the process's end."""


BEFORE_ALL = Window(0, 0)
"""What a failure is laid to that is not that of a window."""


class Readers(Generic[T]):
    """Threads that each read a window at a time.

    The pages come as they arrive, those of different windows mixed: none has to wait for a slow one
    before it. If they are not taken, reading stops until they are.
    """

    def __init__(
        self,
        count: int,
        next_window: Callable[[], Window | None],
        read: Callable[[Window], Iterable[T]],
        stopped: threading.Event,
    ) -> None:
        """Get the readers ready.

        Args:
            count: How many there are.
            next_window: Gives the window to read next, or None once there is none. Called by the readers.
            read: Reads the pages of a window. Called by the readers.
            stopped: Set when the reading is over, so that whatever waits in `next_window` or `read` can end.
        """
        self._next_window = next_window
        self._read = read
        self._stopped = stopped
        self._parts: queue.Queue[tuple[Window, T | BaseException | None] | None] = queue.Queue(PAGES_WAITING)
        self._begun: set[Window] = set()
        self._failure: tuple[Window, BaseException] | None = None
        self._deadline = float("inf")
        self._threads = [
            # Daemons, so that a request that hangs does not keep a process that is to end.
            threading.Thread(target=self._work, name=f"window reader {number + 1}", daemon=True)
            for number in range(count)
        ]

    def parts(self, every_second: Callable[[], None]) -> Iterator[tuple[Window, T | None]]:
        """Read all windows.

        Args:
            every_second: Called about once a second, whether anything arrives or not.

        Yields:
            Each window's pages, in their order, and then None for its end, with the window. If one fails,
            those before it are brought to their end first, if that does not take long.

        Raises:
            BaseException: Whatever the reading of a window raised.
        """
        try:
            for thread in self._threads:
                thread.start()
            for window, page in self._arriving(every_second):
                if page is None or isinstance(page, BaseException):
                    self._begun.discard(window)
                if isinstance(page, BaseException):
                    self.fail(window, page)
                elif self._failure is None or window.start < self._failure[0].start:
                    yield window, page
            if self._failure:
                raise self._failure[1]
        finally:
            self._stopped.set()
            until = time.monotonic() + SECONDS_TO_LEAVE
            for thread in self._threads:
                if thread.ident:
                    thread.join(max(0, until - time.monotonic()))

    def _arriving(self, every_second: Callable[[], None]) -> Iterator[tuple[Window, T | BaseException | None]]:
        working = len(self._threads)
        called = time.monotonic()
        while working and not self._is_lost():
            if time.monotonic() - called >= 1:
                every_second()
                called = time.monotonic()
            try:
                part = self._parts.get(timeout=0.2 if self._failure else 1)
            except queue.Empty:
                continue
            if part is None:
                working -= 1
            else:
                yield part

    def fail(self, window: Window, error: BaseException) -> None:
        """Let the reading end with an error, once the windows before it are whole.

        Args:
            window: The window that cannot be read, or not be handed on.
            error: Why.
        """
        if self._failure is None:
            self._deadline = time.monotonic() + SECONDS_FOR_EARLIER_WINDOWS
        if self._failure is None or window.start < self._failure[0].start:
            self._failure = window, error

    def _is_lost(self) -> bool:
        """Whether nothing is to be gained any more after a failure."""
        if self._failure is None:
            return False
        failed = self._failure[0]
        return time.monotonic() > self._deadline or not any(w.start < failed.start for w in self._begun.copy())

    def _work(self) -> None:
        with suppress(StoppedError):
            window: Window | None = None
            try:
                while self._failure is None and (window := self._next_window()):
                    self._begun.add(window)
                    for page in self._read(window):
                        self._put((window, page))
                    self._put((window, None))
            except StoppedError:
                raise
            except BaseException as error:  # noqa: BLE001
                self._put((window or BEFORE_ALL, error))
            self._put(None)

    def _put(self, part: tuple[Window, T | BaseException | None] | None) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._parts.put(part, timeout=0.1)
                return
        raise StoppedError
