"""`--test`: asks for a few records of each bot and stream, without the long retries, and prints a report.

The report holds neither the key nor anything of a conversation but the newest time.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import requests
from singer_sdk.exceptions import RetriableAPIError, SingerSDKError, SyncError
from singer_sdk.streams.rest import PageContext

from tap_deepconverse.api.errors import APIError, FutureEndError, describe, is_transient, kind_of, retry_after
from tap_deepconverse.extract.failures import EveryBotError, Failures
from tap_deepconverse.records.conform import OWN, Conformer
from tap_deepconverse.records.page import CURSOR, DATA, page_of
from tap_deepconverse.records.values import LATEST_SECONDS, parse_time, unwrapped
from tap_deepconverse.records.warnings import RecordWarnings, UndocumentedFields, field_names
from tap_deepconverse.settings import parse_date

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_deepconverse.client import ExportStream
    from tap_deepconverse.records.page import Page

DAY = 86_400
LOOKS_BACK = (DAY, 30 * DAY)
"""Seconds to look back, in turn, until there are records."""
MOST_RECORDS = 100
"""Records of a request: the data comes from an archive, so responses are slow."""
LONGEST_WAIT = 10.0
"""Seconds before a request is sent again."""
ENOUGH = 20
"""Records of a page that show whether it has an order."""
UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
UNKNOWN = "could not be told"
TITLES = ("bot", "stream", "newest time", "longest answer", "result")

_fields = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class ConnectionTestError(SingerSDKError):
    """Some bots or streams cannot be read. The message has one line for each."""


class Facts:
    """What the pages of a stream show about questions that the API's documentation leaves open."""

    def __init__(self, stream: ExportStream) -> None:
        properties = stream.schema["properties"]
        self.stream = stream
        self._documented = properties.keys() - OWN
        self._undocumented = UndocumentedFields(stream.logger, stream.name)
        self._forms = {name: set[str]() for name in properties if properties[name].get("format") == "date-time"}
        self._new_fields = set[str]()
        self._new_keys = set[str]()
        self._cursors = set[str]()
        self._orders = set[str]()

    def learn(self, page: Page, bot_name: str) -> float | None:
        """Take note of a page; return the newest time in it that is not in the future, in Unix seconds.

        Raises:
            UnusableRecordError: If a sync could not emit a record.
        """
        if page.size:  # not HTTP 204
            self._cursors.add("yes" if page.cursor else "null" if page.has_cursor_key else "no such key")
            self._new_keys |= page.names - {DATA, CURSOR}
        schema = self.stream.schema
        warnings = RecordWarnings(self.stream.logger, f"Bot '{bot_name}', stream '{self.stream.name}'")
        conformer = Conformer(bot_name, schema, schema, warnings, self._undocumented)
        times: dict[str, list[float]] = defaultdict(list)
        for text, record in zip(page.data, conformer.records(page, "the page"), strict=True):
            sent = _fields.decode(text)
            self._new_fields |= sent.keys() - self._documented
            for name in self._forms:
                if sent.get(name) is not None:
                    self._forms[name].add(form_of(sent[name]))
                if record[name]:
                    times[name].append(datetime.fromisoformat(record[name]).timestamp())
        for name, moments in times.items():
            if len(moments) >= ENOUGH and len(set(moments)) > 1:
                way = {moments == sorted(moments): "rising", moments == sorted(moments)[::-1]: "falling"}.get(True)
                self._orders.add(f"`{name}` {way or 'in no order'}")
        now = time.time()
        return max((each for moments in times.values() for each in moments if 0 < each <= now), default=None)

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts, each with its question."""
        told = {f"how `{name}` is written": forms for name, forms in self._forms.items()}
        told |= {f"is a `{CURSOR}` there": self._cursors, "does a page come in an order": self._orders}
        nothing = "none" if any(self._forms.values()) else UNKNOWN
        return [
            *((f"  {question}", ", ".join(sorted(words)) or UNKNOWN) for question, words in told.items()),
            ("  fields that no document names", field_names(self._new_fields) or nothing),
            (f"  keys beside `{DATA}` and `{CURSOR}`", field_names(self._new_keys) or nothing),
        ]


@dataclass
class Line:
    """What is known of a bot and stream: the slowest response in seconds, and times in Unix seconds."""

    bot_name: str
    facts: Facts
    result: str = "not asked"
    slowest: float | None = None
    newest: float | None = None
    since: float = 0.0

    def cells(self) -> tuple[str, ...]:
        """Return the row of the report."""
        newest = "-" if self.newest is None else _in_minutes(self.newest)
        slowest = "-" if self.slowest is None else f"{self.slowest:.2f} s"
        return _printable(self.bot_name), self.facts.stream.name, newest, slowest, self.result


class Check:
    """Asks for each bot and stream, and reports."""

    def __init__(self, streams: Sequence[ExportStream], version: str) -> None:
        self._facts = [Facts(stream) for stream in streams]
        bots = [partition["bot_name"] for partition in streams[0].partitions]
        self._lines = [Line(bot, facts) for bot in bots for facts in self._facts]
        self._errors: list[str] = []
        self._is_accepted = False
        self._now = int(time.time())  # or earlier, by the server's clock
        self._title = f"tap-deepconverse {version}, {_in_minutes(self._now)}"

    def run(self) -> None:
        """Ask, until an error is everyone's."""
        failures = Failures(lambda stream, bot, why: self._errors.append(f"Bot '{bot}', stream '{stream}': {why}."))
        count = len(self._facts)
        # Each time another bot and another stream: that shows soon whose an error is.
        order = sorted(range(len(self._lines)), key=lambda number: (number - number // count) % count)
        try:
            for line in (self._lines[number] for number in order):
                try:
                    self._ask_for(line)
                    failures.page_came()
                except (SyncError, requests.RequestException) as error:
                    line.result = f"error: {describe(error)}"
                    failures.add(line.facts.stream.name, line.bot_name, APIError(describe(error), kind_of(error)))
            failures.end()
        except EveryBotError as error:
            self._errors.append(str(error))
        finally:
            for facts in self._facts:
                facts.stream.endpoint.sessions.close()

    def _ask_for(self, line: Line) -> None:
        for seconds in LOOKS_BACK:
            page = self._page(line, seconds)
            self._is_accepted = True
            line.newest = line.facts.learn(page, line.bot_name)
            if page.data:
                line.result = "reachable"
                return
        line.result = f"reachable, but no records since {_in_minutes(line.since)}; check this bot's name in `bot_names`"

    def _page(self, line: Line, seconds: int) -> Page:
        """Request a page. Retry once after a temporary error, but not after a timeout."""
        try:
            return self._request(line, seconds)
        except FutureEndError as error:
            self._now = min(self._now, int(error.server_now.timestamp()) - 1)
        except (RetriableAPIError, requests.RequestException) as error:
            if isinstance(error, requests.Timeout) or not is_transient(error):
                raise
            time.sleep(min(LONGEST_WAIT, max(1.0, retry_after(getattr(error, "response", None)))))
        return self._request(line, seconds)

    def _request(self, line: Line, seconds: int) -> Page:
        stream = line.facts.stream
        config, endpoint = stream.config, stream.endpoint
        end = min(int(parse_date(config["end_date"]).timestamp()), self._now) if config.get("end_date") else self._now
        begin = min(int(parse_date(config["start_date"]).timestamp()), end - 1)
        line.since = start = max(begin, end - min(seconds, config["window_days"] * DAY))
        window = {"start_time": start, "end_time": end, "per_page": min(config["page_size"], MOST_RECORDS)}
        endpoint.limiter.wait(threading.Event())
        began = time.monotonic()
        try:
            page = PageContext[str | None]({"bot_name": line.bot_name, **window}, None)
            return page_of(endpoint.fetch(endpoint.sessions.new(), page))
        finally:
            line.slowest = max(time.monotonic() - began, line.slowest or 0)

    def report(self) -> str:
        """Return the report."""
        asked = [line.result for line in self._lines if line.slowest is not None]
        is_refused = all("the API refuses the key" in result for result in asked)
        key = "yes" if self._is_accepted else "no" if is_refused else UNKNOWN
        rows = [TITLES, *(line.cells() for line in self._lines)]
        text = [self._title, f"key accepted: {key}", "", *_table(rows)]
        for facts in self._facts:
            text += ["", f"stream {facts.stream.name}", *_table(facts.rows())]
        return "\n".join(text)

    def require_success(self) -> None:
        """Raise ConnectionTestError unless each bot and stream can be read."""
        if self._errors:
            raise ConnectionTestError("\n".join(map(_printable, self._errors)))


def form_of(value: object) -> str:
    """Return in words how a time is written."""
    try:
        parse_time(value)
    except ValueError:
        return "not as a time"
    inside = f" in an object `{next(iter(value))}`" if isinstance(value, dict) else ""
    plain = unwrapped(value)
    text = str(plain).strip().upper()
    try:
        number = Decimal(text)
    except ArithmeticError:
        return f"ISO 8601 {'with' if datetime.fromisoformat(text).tzinfo else 'without'} an offset{inside}"
    unit = next(name for name, per_second in UNITS.items() if abs(number) < LATEST_SECONDS * per_second)
    fraction = " with a fraction" if number % 1 else ""
    return f"Unix {unit}{fraction}{' as text' if isinstance(plain, str) else ''}{inside}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _in_minutes(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
