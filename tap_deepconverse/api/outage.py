"""Logs failing requests briefly, for all workers of an endpoint together."""

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
    """Warns when requests start to fail, once a minute while they do, and when all of them have succeeded.

    The same kind of failure within a minute is not logged again: one request in four may fail for hours.
    """

    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _fails_at: dict[object, float] = field(default_factory=dict)  # when the retries of each request end
    _began: float = 0.0
    _is_told: bool = False
    _told: dict[object, float] = field(default_factory=dict)  # when each kind of failure was last logged

    def goes_on(self, request: object, kind: object, what: str, *, wait: float, total: float) -> None:
        """Record that a request failed and will be retried.

        Args:
            request: Identifies the request.
            kind: The kind of failure, such as an HTTP status.
            what: The log line: what failed, and the retry.
            wait: Seconds until the next attempt.
            total: Seconds from the first failure of a request until its retries end.
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
        """Record that a request succeeded, or is no longer retried; `name` names its bot and stream."""
        with self._lock:
            was_retried = self._fails_at.pop(request, None) is not None
            if was_retried and has_come and self._is_told and not self._fails_at:
                self.logger.warning("%s: the API answers again, after %s", name, in_words(self.clock() - self._began))
