"""Several windows read at once, by threads, in bounded memory."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from tap_deepconverse.pace import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_deepconverse.windows import Window

T = TypeVar("T")

PAGES_WAITING = 2
"""How many pages may wait to be handed on, besides the one that each reader holds."""


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
            stopped: Set by whoever wants them to stop, and by themselves when they have.
        """
        self._next_window = next_window
        self._read = read
        self._stopped = stopped
        self._parts: queue.Queue[tuple[Window, T | None] | BaseException | None] = queue.Queue(PAGES_WAITING)
        self._threads = [
            # Daemons, so that a request that hangs does not keep a process that is to end.
            threading.Thread(target=self._work, name=f"window reader {number + 1}", daemon=True)
            for number in range(count)
        ]

    def parts(self, while_waiting: Callable[[], None]) -> Iterator[tuple[Window, T | None]]:
        """Read all windows.

        Args:
            while_waiting: Called every second in which nothing arrives.

        Yields:
            Each window's pages, in their order, and then None for its end, with the window.

        Raises:
            BaseException: Whatever a reader raised; then the others are stopped.
        """
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        try:
            while working:
                try:
                    part = self._parts.get(timeout=1)
                except queue.Empty:
                    while_waiting()
                    continue
                if part is None:
                    working -= 1
                elif isinstance(part, BaseException):
                    raise part
                else:
                    yield part
        finally:
            self._stopped.set()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set() and (window := self._next_window()):
                for page in self._read(window):
                    self._put((window, page))
                self._put((window, None))
            self._put(None)
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001
            with suppress(StoppedError):
                self._put(error)

    def _put(self, part: tuple[Window, T | None] | BaseException | None) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._parts.put(part, timeout=0.1)
                return
        raise StoppedError
