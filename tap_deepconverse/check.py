"""`--test`: asks for a few records of each bot and stream. The report holds no key and no data."""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from singer_sdk.exceptions import SyncError

from tap_deepconverse.api.redact import name_of
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream, span_settings
from tap_deepconverse.extract.failures import EveryBotError, Failures
from tap_deepconverse.extract.window import DAY, Reading, Window
from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.page import CURSOR, DATA, Page
from tap_deepconverse.records.warnings import ADDITIONAL, RecordWarnings, UndocumentedFields, is_field_name

Answers = defaultdict[tuple[str, str], set[str]]  # by stream and question

ONE_RETRY = RetryPolicy(total=1)
MOST_RECORDS = 100  # the data comes from an archive, so responses are slow
SPANS = (1, 30)  # days back from now; the second if there is nothing in the first
FEWEST_ORDERED = 20  # times; fewer may be in order by chance


@dataclass
class Line:
    """A bot and stream in the report."""

    bot_name: str
    stream: ExportStream
    result: str = "not asked"
    newest: str = "-"
    slowest: float = 0
    error: str = ""

    def fail(self, reason: str) -> None:
        """Take an error that is not everyone's."""
        self.error = f"{name_of(self.bot_name, self.stream.name)}: {reason}."


def check(streams: Sequence[ExportStream], version: str) -> tuple[str, list[str]]:
    """Ask for each bot and stream; return the report, and a sentence for each error."""
    lines = [Line(each["bot_name"], stream) for each in streams[0].partitions for stream in streams]
    answers: Answers = defaultdict(set)
    everyones = []
    failures = Failures()
    for stream in streams:
        stream.retry_policy = ONE_RETRY
    step = len(streams) + 1  # each time another bot and another stream: that shows soon whose an error is
    try:
        for line in (line for first in range(step) for line in lines[first::step]):
            try:
                line.result = _ask(line, answers)
                failures.page_came()
            except SyncError as error:
                line.result = f"error: {error}"
                failures.add(line.bot_name, error, line.fail)
        failures.end()
    except EveryBotError as error:
        everyones = [str(error)]
    for stream in streams:
        stream.endpoint.sessions.close()
    is_accepted = any(line.result.startswith("reachable") for line in lines)
    is_refused = any("the API refuses the key" in line.result for line in lines)
    key = "yes" if is_accepted else "no" if is_refused else "could not be told"
    rows = [("bot", "stream", "newest time", "longest answer", "result")]
    rows += [
        (repr(line.bot_name)[1:-1], line.stream.name, line.newest, f"{line.slowest:.2f} s", line.result)
        for line in lines
    ]
    facts = [(stream, question, ", ".join(sorted(words))) for (stream, question), words in sorted(answers.items())]
    if facts:
        facts.insert(0, ("stream", "question", "answer"))
    title = f"tap-deepconverse {version}, {_in_minutes(time.time())}"
    errors = [*(line.error for line in lines if line.error), *everyones]
    return f"{title}\nkey accepted: {key}\n\n{_table(rows)}\n\n{_table(facts)}".rstrip(), errors


def _ask(line: Line, answers: Answers) -> str:
    endpoint = line.stream.endpoint
    settings = span_settings(line.stream)
    stopped = threading.Event()
    for days in SPANS:
        end = int(min(settings.end.timestamp(), endpoint.latest_end))
        start = max(min(int(settings.start.timestamp()), end - 1), end - DAY * min(days, settings.window_days))
        reading = Reading(Window(start, end), min(line.stream.config["page_size"], MOST_RECORDS), is_patient=True)
        endpoint.wait(stopped)
        began = time.monotonic()
        try:
            page = next(endpoint.pages(line.bot_name, reading, stopped))
        finally:
            line.slowest = max(line.slowest, time.monotonic() - began)
        if _learn(line, page, answers):
            return "reachable"
    return f"reachable, but no records since {_in_minutes(start)}; check this bot's name in `bot_names`"


def _learn(line: Line, page: Page, answers: Answers) -> bool:
    """Take note of a page, and return whether it has records; raise an error if a sync could not emit one."""
    stream, schema, logger = line.stream.name, line.stream.schema, line.stream.logger
    warnings, undocumented = RecordWarnings(logger, stream), UndocumentedFields(logger, stream)
    records = list(Conformer(line.bot_name, schema, schema, warnings, undocumented).records(page, "the page"))
    if page.size:  # not HTTP 204
        cursor = "yes" if page.cursor else "null" if page.has_cursor_key else "no such key"
        answers[stream, f"is a `{CURSOR}` there"].add(cursor)
        answers[stream, f"keys beside `{DATA}` and `{CURSOR}`"] |= _names(page.names - {DATA, CURSOR})
    if records:
        new = (name for record in records for name in record[ADDITIONAL] or ())
        answers[stream, "fields that no document names"] |= _names(new)
    for name in (name for name, field in schema["properties"].items() if field.get("format") == "date-time"):
        for text, record in zip(page.data, records, strict=True):
            if (value := json.loads(bytes(text)).get(name)) is not None:
                form = re.sub(r"\d", "9", re.sub(r"\.\d+", ".9", json.dumps(value)))
                answers[stream, f"how `{name}` is written"].add(form if record[name] else "not as a time")
        times = [record[name] for record in records if record[name]]
        if len({*times}) >= FEWEST_ORDERED:
            rising = sorted(times)
            way = "rising" if times == rising else "falling" if times == rising[::-1] else "in no order"
            answers[stream, "does a page come in an order"].add(f"`{name}` {way}")
        if name == line.stream.replication_key:
            now = datetime.now(UTC)
            past = [moment for moment in map(datetime.fromisoformat, times) if moment <= now]
            line.newest = _in_minutes(max(past).timestamp()) if past else "-"
    return bool(records)


def _names(names: Iterable[str]) -> set[str]:
    return {name if is_field_name(name) else "…" for name in names} or {"none"}


def _in_minutes(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
