"""How long to go on asking after a request has failed, and how long to wait in between.

Pure: a failure is known here by what it was answered with, a clock is handed in, nobody sleeps.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

FAILURES_BEFORE_DOUBT = 3
"""How often a page must fail in a row before it is asked whether that is because of its size."""


@dataclass(frozen=True)
class Patience:
    """How long a request is tried again before it is given up. Seconds throughout.

    The waits double, up to a longest, until patience is over; where the API says how long to wait,
    that counts instead. As it stands, an outage of five minutes is ridden out.

    Attributes:
        first_wait: After the first failure.
        longest_wait: However often it has failed.
        total: From the first failure to the beginning of the last try, or more if the API asks for it.
        fewest_tries: How often it is tried at least: where an answer takes minutes to fail to come, so
            often that a smaller page is asked for before giving up.
    """

    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 360.0
    fewest_tries: int = FAILURES_BEFORE_DOUBT + 2

    def waits(self, clock: Callable[[], float] = time.monotonic) -> Generator[float, object, None]:
        """Say how long to wait after each failure: a wait generator for `backoff`.

        Args:
            clock: Gives the time that has gone by, in seconds.

        Yields:
            Seconds to wait before the next try. It is sent what the last one raised, and ends when it is
            time to give up.
        """
        error = yield 0.0
        began, longer = clock(), self.first_wait
        for tries in count(1):
            left = self.total - (clock() - began)
            asked = asked_to_wait(getattr(getattr(error, "response", None), "headers", {}))
            if left <= 0 and (asked or tries >= self.fewest_tries):
                return
            error = yield asked or (min(longer, left) if left > 0 else longer)
            longer = min(2 * longer, self.longest_wait)


def asked_to_wait(headers: Mapping[str, str]) -> float:
    """Read how long an answer asks to wait (RFC 9110, `Retry-After`).

    Args:
        headers: The answer's headers. A date is held against the server's own clock (`Date`), if it
            says what time it is.

    Returns:
        Seconds, or 0 where it does not say.
    """
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked):
        return float(asked)
    moment = _http_date(asked)
    if moment is None:
        return 0.0
    now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class PageDoubt:
    """Tells a page that the API cannot give, for its size, from an API that can give nothing at all.

    Both look alike: the gateway answers 5xx, or nothing. So after some failures in a row a small
    page is asked for. If that comes and the page still does not, it is the page.
    """

    def __init__(self) -> None:
        """Start without doubt."""
        self.came_through()

    def came_through(self) -> None:
        """Take note that the page came."""
        self._failures = 0
        self._has_small_page_come = False

    def failed(self) -> None:
        """Take note that the page did not come."""
        self._failures += 1

    def small_page_came(self) -> None:
        """Take note that a small page came."""
        self._has_small_page_come = True

    @property
    def calls_for_small_page(self) -> bool:
        """Whether it is time to ask for a small page."""
        return self._failures >= FAILURES_BEFORE_DOUBT and not self._has_small_page_come

    @property
    def is_of_the_page(self) -> bool:
        """Whether it is the page, and no outage."""
        return self._failures > FAILURES_BEFORE_DOUBT and self._has_small_page_come
