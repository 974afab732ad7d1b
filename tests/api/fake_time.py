"""Time that passes only while somebody waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable


class Time(threading.Event):
    """A clock, and the event that ends a sync: to wait is to let time pass. `when_waiting` is called once in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_000.0
        self.when_waiting: Callable[[], object] | None = None

    def __call__(self) -> float:
        return self.seconds

    @override
    def wait(self, timeout: float | None = None) -> bool:
        if call := self.when_waiting:
            self.when_waiting = None
            call()
        self.seconds += timeout or 0.0
        return self.is_set()
