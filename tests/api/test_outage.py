from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandbox.faults import refuses
from tap_deepconverse.api.outage import Outage
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream
from tests.support import Clock, config_for, sync

if TYPE_CHECKING:
    from flask import Response

    from tests.conftest import Serve


class Watched:
    """An outage with a clock of its own, and what is warned of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.clock, self._caplog = Clock(), caplog
        self._outage = Outage(logging.getLogger("outage"), self.clock)

    def fails(self, request: str, kind: int = 503, wait: float = 1.0) -> None:
        self._outage.goes_on(request, kind, f"{request}: HTTP {kind}; retrying", wait=wait, total=360)

    def ends(self, request: str, *, has_come: bool = True) -> None:
        self._outage.is_over(request, "Stream", has_come=has_come)

    @property
    def warned(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.levelname == "WARNING"]


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Watched:
    return Watched(caplog)


def test_an_outage_is_said_when_it_begins_once_a_minute_and_when_it_ends(outage: Watched) -> None:
    for second in range(130):
        outage.clock.seconds += 1
        for worker in range(8):
            outage.fails(f"request {worker}", kind=503 if second % 2 else 500)
    for worker in range(8):
        outage.ends(f"request {worker}")
    begins, first_minute, second_minute, ends = outage.warned
    assert begins.startswith("request 0: HTTP 500; retrying, until about ")
    assert first_minute.endswith(" UTC; failing for 60 s")
    assert second_minute.endswith(" UTC; failing for 2 min")
    assert ends == "Stream: the API answers again, after 2 min"


def test_it_says_until_when_it_is_retried(outage: Watched) -> None:
    outage.fails("request", wait=500)
    until = datetime.fromisoformat(re.findall(r"until about (\S+ \S+) UTC", outage.warned[0])[0]).replace(tzinfo=UTC)
    assert 495 < (until - datetime.now(UTC)).total_seconds() < 501


def test_a_failure_that_comes_and_goes_is_said_once_a_minute(outage: Watched) -> None:
    for _ in range(59):
        outage.clock.seconds += 1
        outage.fails("request")
        outage.ends("request")
    assert len(outage.warned) == 2
    outage.fails("request", kind=429)
    outage.ends("request")
    assert len(outage.warned) == 4


def test_what_has_failed_for_good_does_not_answer_again(outage: Watched) -> None:
    outage.fails("request")
    outage.fails("other")
    outage.ends("other")
    outage.ends("request", has_come=False)
    outage.ends("third")
    assert len(outage.warned) == 1


@pytest.mark.parametrize("status", [503, 429])
def test_over_all_workers_an_outage_is_two_warnings(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(first_wait=0.05, longest_wait=0.2))
    sandbox, url = serve()
    left = iter(range(30))

    def fail(answer: Response) -> Response:
        return answer if next(left, None) is None else refuses(status, "Not now")(answer)

    sandbox.fault = fail
    config = config_for(url, window_days=1, start_date="2026-09-01", concurrency=16)
    caplog.set_level(logging.INFO)
    assert sync(config).records("messages")
    begins, ends = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert re.search(rf"HTTP {status}: Not now.*until about \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", begins)
    assert "answers again, after" in ends
