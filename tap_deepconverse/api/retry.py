"""The retry policy: how long to retry a failed request, and how long to wait between attempts. Nothing sleeps here."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

FAILURES_BEFORE_DOUBT = 3  # in a row, before a small page is requested to see whether the page is too large
LONGEST_RETRY_AFTER = 300.0  # seconds; a longer wait, such as for a used-up quota, ends the run


@dataclass(frozen=True)
class RetryPolicy:
    """How long to retry a request, in seconds. With the defaults, an outage of five minutes does not end a run.

    The waits double, up to `longest_wait`, until the total is over. `Retry-After` overrides them.

    Attributes:
        total: From the first failure to the start of the last attempt, or longer if `Retry-After` says so.
        fewest_tries: Minimum number of attempts. Slow timeouts must leave enough of them to request a small page.
        jitter: Largest random share added to a wait, so that the workers do not all retry at once.
    """

    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 360.0
    fewest_tries: int = FAILURES_BEFORE_DOUBT + 2
    jitter: float = 0.25

    def waits(self, clock: Callable[[], float] = time.monotonic) -> Generator[float, Exception, None]:
        """Yield 0, then the seconds to wait after each error sent in; end when the request has failed."""
        error = yield 0.0
        began, longer = clock(), self.first_wait
        for tries in count(1):
            left = self.total - (clock() - began)
            asked = retry_after(getattr(getattr(error, "response", None), "headers", {}))
            if left <= 0 and (asked or tries >= self.fewest_tries):
                return
            wait = asked or (min(longer, left) if left > 0 else longer)
            error = yield wait * random.uniform(1, 1 + self.jitter)  # noqa: S311
            longer = min(2 * longer, self.longest_wait)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return `Retry-After` (RFC 9110) in seconds, or 0. A date is compared with the server's `Date`, if present."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked):
        return float(asked)
    if (moment := _http_date(asked)) is None:
        return 0.0
    now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass
class PageSizeDoubt:
    """Distinguishes a page that is too large from an outage.

    Both look alike: the gateway returns 5xx, or nothing. So after some failures in a row the tap requests a small
    page. If that succeeds and the page still fails, the page is too large.
    """

    failures: int = 0
    small_page_came: bool = False

    @property
    def calls_for_small_page(self) -> bool:
        """Whether to request a small page now."""
        return self.failures >= FAILURES_BEFORE_DOUBT and not self.small_page_came

    @property
    def is_page_too_large(self) -> bool:
        """Whether the page is too large, so this is not an outage."""
        return self.failures > FAILURES_BEFORE_DOUBT and self.small_page_came


def in_words(seconds: float) -> str:
    """Return a duration in seconds, minutes, hours or days: the largest unit of which there are at least two."""
    for limit, unit, text in ((120, 1, "{:.0f} s"), (7_200, 60, "{:.0f} min"), (172_800, 3_600, "{:.1f} h")):
        if seconds < limit:
            return text.format(seconds / unit)
    return f"{seconds / 86_400:.0f} days"
