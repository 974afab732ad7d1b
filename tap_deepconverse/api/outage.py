"""What is said while requests fail and are retried: over all workers of an endpoint together, and briefly."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_deepconverse.api.retry import in_words

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

SECONDS_BETWEEN_WARNINGS = 60.0


@dataclass
class Outage:
    """Warns when requests begin to fail, once a minute while they do, and when all of them have come.

    The same kind of failure soon after is part of what was said before: a request in four may fail for hours.
    """

    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _fails_at: dict[object, float] = field(default_factory=dict)  # when each request that is retried fails for good
    _began: float = 0.0
    _is_told: bool = False
    _told: dict[object, float] = field(default_factory=dict)  # when each kind of failure was warned of last

    def goes_on(self, request: object, kind: object, what: str, *, wait: float, total: float) -> None:
        """Take note that a request has failed, and is retried.

        Args:
            request: What is retried.
            kind: The kind of failure, such as an HTTP status.
            what: What failed, and that it is retried.
            wait: Seconds until the next attempt.
            total: Seconds from the first failure of a request until it has failed for good.
        """
        with self._lock:
            now = self.clock()
            if not self._fails_at:
                self._began, self._is_told = now, False
            self._fails_at[request] = max(self._fails_at.get(request, now + total), now + wait)
            last = max(self._told.values()) if self._is_told else self._told.get(kind)
            if last is not None and now - last < SECONDS_BETWEEN_WARNINGS:
                self.logger.debug("%s", what)
                return
            until = datetime.now(UTC) + timedelta(seconds=min(self._fails_at.values()) - now)
            since = f"; failing for {in_words(now - self._began)}" if self._is_told else ""
            self.logger.warning("%s, until about %s UTC%s", what, f"{until:%Y-%m-%d %H:%M:%S}", since)
            self._is_told, self._told[kind] = True, now

    def is_over(self, request: object, name: str, *, has_come: bool) -> None:
        """Take note that a request has come, or is not retried any more; `name` is that of its bot and stream."""
        with self._lock:
            was_retried = self._fails_at.pop(request, None) is not None
            if was_retried and has_come and self._is_told and not self._fails_at:
                self.logger.warning("%s: the API answers again, after %s", name, in_words(self.clock() - self._began))
