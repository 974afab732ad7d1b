"""`--test`: requests a few records of each bot and stream, without the long retries, and prints a report."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from singer_sdk.exceptions import RetriableAPIError, SingerSDKError, SyncError

from tap_deepconverse.api.errors import describe, is_transient
from tap_deepconverse.api.rate_limit import RateLimiter
from tap_deepconverse.api.retry import retry_after
from tap_deepconverse.open_questions import ENOUGH, UNTOLD, OpenQuestions, answer_of, next_window
from tap_deepconverse.records.conform import OWN
from tap_deepconverse.records.page import page_of
from tap_deepconverse.report import Line, facts, report
from tap_deepconverse.settings import parse_date

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_deepconverse.client import ExportStream
    from tap_deepconverse.open_questions import Answer

DAY = 86_400
LOOKS_BACK = (3_600, DAY, 30 * DAY)  # seconds, tried in this order until enough records come; then from `start_date`
MOST_RECORDS = 100  # per request: the data comes from an archive, so responses are slow
MOST_PROBES = 4  # requests for the open questions, per bot
MOST_BOTS_PROBED = 3
MOST_FAILURES = 3  # temporary errors in a row after which a stream's other bots are skipped
LONGEST_PAUSE = 5.0  # seconds before the only retry

REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
ERRORS = (SyncError, requests.RequestException)


class ConnectionTestError(SingerSDKError):
    """Some bots or streams cannot be read. The message has one line for each."""


class StreamTest:
    """Requests a stream's records, for one bot after another."""

    def __init__(self, stream: ExportStream) -> None:
        self.stream = stream
        self.questions = OpenQuestions(time_fields_of(stream))
        self.failures = 0  # temporary errors in a row
        self.status: int | None = None  # of the latest response
        self._limiter = RateLimiter(stream.config["requests_per_second"])
        self._per_page = min(stream.config["page_size"], MOST_RECORDS)
        self._spans = spans_of(stream)
        self._probed = 0

    def look_at(self, line: Line) -> None:
        """Request records of a bot and learn from them; raise one of `ERRORS` if that fails."""
        since, refusal = self._spans[0][0], ""
        answer: Answer | None = None
        enough = 1 if self.questions.order != UNTOLD or self._probed >= MOST_BOTS_PROBED else ENOUGH
        for start, end in self._spans:
            try:
                wider = self._ask(line, start, end)
            except ERRORS as error:
                # A sync requests no longer windows than that.
                is_wanted = end - start <= self.stream.config["window_days"] * DAY
                if is_wanted and not answer:
                    raise
                refusal = "" if is_wanted else f", and no more can be asked for at once ({describe(error)})"
                break
            answer, since = wider if wider.records else answer, start
            if len(wider.records) >= enough or wider.has_token:
                break
        line.said, line.is_empty = "reachable", answer is None
        if answer:
            self._probe(line, answer)
        else:
            line.said += f", but no records since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC{refusal}"

    def _ask(self, line: Line, start: int, end: int, per_page: int | None = None) -> Answer:
        """Request a page. Retry once after a temporary error, but not after a timeout."""
        per_page = per_page or self._per_page
        context = {"bot_name": line.bot_name, "start_time": start, "end_time": end, "per_page": per_page}
        for is_last in (False, True):
            self._limiter.wait(threading.Event())
            began, self.status = time.monotonic(), None
            try:
                stream = self.stream
                response = stream.requests_session.send(
                    stream.first_page(context), timeout=stream.timeout, allow_redirects=stream.allow_redirects
                )
                line.longest = max(time.monotonic() - began, line.longest or 0)
                self.status = response.status_code
                stream.validate_response(response)
                break
            except (RetriableAPIError, requests.RequestException) as error:
                if is_last or isinstance(error, requests.Timeout) or not is_transient(error):
                    raise
                asked = retry_after(getattr(error.response, "headers", {}))
                self._limiter.pause(min(asked or 1, LONGEST_PAUSE))
        fields = self.questions.fields
        documented = stream.schema["properties"].keys() - OWN
        answer = answer_of(page_of(response), response.content, (start, end, per_page), fields, documented)
        self.questions.answers.append(answer)
        moments = [moment for times in answer.records.values() for moment in times.values()]
        line.newest = max([*moments, *([] if line.newest is None else [line.newest])], default=None)
        return answer

    def _probe(self, line: Line, found: Answer) -> None:
        """Send a few more requests that may answer the open questions. Their errors do not count."""
        questions = self.questions
        is_told = UNTOLD not in {
            questions.told("by"),
            questions.told("start_inclusive"),
            questions.told("end_inclusive"),
        }
        if (is_told and questions.cursor == "yes") or self._probed >= MOST_BOTS_PROBED:
            return
        self._probed += 1
        answers, known = [found], found.records
        oldest_first = dict(sorted(known.items(), key=lambda item: max(item[1].values(), default=math.inf)))
        with suppress(*ERRORS):
            while len(answers) <= MOST_PROBES:
                window = next_window(questions.readings(*((answer, known) for answer in answers)), oldest_first)
                if window is None:
                    break
                answers.append(self._ask(line, *window))
            if len(known) > 1 and not any(answer.has_token for answer in questions.answers):
                self._ask(line, found.start, found.end, len(known) - 1)
            # A record that has changed in the meantime may have been in another window before.
            now = self._ask(line, found.start, found.end).records if len(answers) > 1 else known
            known = {identity: times for identity, times in known.items() if now.get(identity) == times}
            questions.learn(answers, known)


class ConnectionTest:
    """Tests each bot and stream, and reports."""

    def __init__(self, streams: Sequence[ExportStream], version: str) -> None:
        self._tests = [StreamTest(stream) for stream in streams]
        self._bot_names = [partition["bot_name"] for partition in streams[0].partitions]
        self._lines = [Line(bot_name, stream.name) for bot_name in self._bot_names for stream in streams]
        self._sentences: list[str] = []
        self._is_key_refused = False
        self._title = f"tap-deepconverse {version}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"

    def run(self) -> None:
        """Run the test, until an error affects everything that is left."""
        logger = self._tests[0].stream.logger
        tests = {test.stream.name: test for test in self._tests}
        for line in self._lines:
            test = tests[line.stream]
            if test.failures >= MOST_FAILURES:
                continue
            where = f"Bot '{line.bot_name}', stream '{line.stream}'"
            try:
                test.look_at(line)
            except ERRORS as error:
                reason = describe(error)
                line.said = f"error: {reason}"
                self._sentences.append(f"{where}: {reason}.")
                if self._concerns_all(error, test.status):
                    break
                test.failures = test.failures + 1 if is_transient(error) else 0
                if test.failures == MOST_FAILURES:
                    self._sentences.append(
                        f"Stream '{line.stream}': {MOST_FAILURES} temporary errors in a row, so the bots after "
                        f"'{line.bot_name}' were not asked."
                    )
            else:
                test.failures = 0
                if line.is_empty:
                    logger.warning("%s: %s; check this bot's name in `bot_names`", where, line.said)

    @property
    def _has_answered(self) -> bool:
        return any(test.questions.answers for test in self._tests)

    def _concerns_all(self, error: Exception, status: int | None) -> bool:
        """Return whether other bots would get the same error: it is about the key, the host or a quota."""
        if status == HTTPStatus.TOO_MANY_REQUESTS and not isinstance(error, RetriableAPIError):
            return True
        if self._has_answered:
            return False
        self._is_key_refused = status in REFUSED
        is_of_the_host = status is None or HTTPStatus.OK < status < HTTPStatus.BAD_REQUEST
        return self._is_key_refused or is_of_the_host

    def report(self) -> str:
        """Return the report."""
        key = "yes" if self._has_answered else "no" if self._is_key_refused else UNTOLD
        parts = {test.stream.name: facts(test.questions, test.stream.config["api_key"]) for test in self._tests}
        return report(self._title, key, self._lines, parts)

    def require_success(self) -> None:
        """Raise ConnectionTestError unless each bot and stream can be read."""
        if self._sentences:
            raise ConnectionTestError("\n".join(self._sentences))


def time_fields_of(stream: ExportStream) -> list[str]:
    """Return the fields of a stream that hold a time."""
    return [name for name, schema in stream.schema["properties"].items() if schema.get("format") == "date-time"]


def spans_of(stream: ExportStream) -> list[tuple[int, int]]:
    """Return the spans to request, in Unix seconds: a short one up to now (or `end_date`), then longer ones."""
    config, now = stream.config, time.time()
    end = math.ceil(min(parse_date(config["end_date"]).timestamp(), now) if config.get("end_date") else now)
    begin = math.floor(parse_date(config["start_date"]).timestamp())
    if begin >= end:  # a sync has nothing to do yet
        return [(end - LOOKS_BACK[0], end)]
    starts = [max(begin, end - min(length, config["window_days"] * DAY)) for length in LOOKS_BACK]
    return [(start, end) for start in dict.fromkeys([*starts, begin])]
