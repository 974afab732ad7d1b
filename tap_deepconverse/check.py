"""`--test`: asks for a few records of each bot and stream. The report holds no key and no data but the newest time."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import requests
from singer_sdk.exceptions import RetriableAPIError, SyncError
from singer_sdk.streams.rest import PageContext

from tap_deepconverse.api.errors import FutureEndError, describe, kind_of
from tap_deepconverse.extract.failures import MOST_ALIKE
from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.page import CURSOR, DATA, page_of
from tap_deepconverse.records.values import parse_iso
from tap_deepconverse.records.warnings import ADDITIONAL, RecordWarnings, UndocumentedFields, is_field_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_deepconverse.client import ExportStream
    from tap_deepconverse.records.page import Page

Answers = defaultdict[tuple[str, str], set[str]]  # by stream and question

_fields = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass
class Line:
    """A bot and stream in the report. Times are Unix seconds; `now` is the server's, if that is earlier."""

    bot_name: str
    stream: ExportStream
    now: int
    result: str = "not asked"
    newest: float = 0
    slowest: float = 0


def check(streams: Sequence[ExportStream], version: str) -> tuple[str, list[str]]:
    """Ask for each bot and stream; return the report, and a sentence for each reason why some cannot be read."""
    now = int(time.time())
    lines = [Line(each["bot_name"], stream, now) for each in streams[0].partitions for stream in streams]
    answers: Answers = defaultdict(set)
    failed: dict[str, list[str]] = defaultdict(list)
    alike: dict[str, set[str]] = defaultdict(set)
    step = len(streams) + 1  # each time another bot and another stream: that shows soon whose an error is
    for line in (line for first in range(step) for line in lines[first::step]):
        try:
            line.result = _ask(line, answers)
            alike.clear()
        except (SyncError, requests.RequestException) as error:
            line.result = f"error: {describe(error)}"
            failed[describe(error)].append(f"Bot {line.bot_name!r}, stream '{line.stream.name}'")
            alike[kind_of(error)].add(line.bot_name)
            if len(alike[kind_of(error)]) == MOST_ALIKE:  # the error is everyone's
                break
    for stream in streams:
        stream.endpoint.sessions.close()
    is_refused = all("the API refuses the key" in reason for reason in failed)
    is_accepted = any(line.result.startswith("reachable") for line in lines)
    key = "yes" if is_accepted else "no" if is_refused else "could not be told"
    rows = [("bot", "stream", "newest time", "longest answer", "result")]
    for line in lines:
        times = _in_minutes(line.newest), f"{line.slowest:.2f} s"
        rows.append((repr(line.bot_name)[1:-1], line.stream.name, *times, line.result))
    facts = [("stream", "question", "answer")]
    facts += [(stream, question, ", ".join(sorted(words))) for (stream, question), words in sorted(answers.items())]
    title = f"tap-deepconverse {version}, {_in_minutes(now)}"
    errors = [f"{'; '.join(names)}: {reason}." for reason, names in failed.items()]
    return f"{title}\nkey accepted: {key}\n\n{_table(rows)}\n\n{_table(facts)}", errors


def _ask(line: Line, answers: Answers) -> str:
    config = line.stream.config
    start_date = int(parse_iso(config["start_date"]).timestamp())
    end_date = int(parse_iso(config.get("end_date") or "9999-01-01").timestamp())
    for days in (1, 30):
        end = min(end_date, line.now)
        start = max(min(start_date, end - 1), end - 86_400 * min(days, config["window_days"]))
        if _learn(line, _page(line, start, end), answers):
            return "reachable"
    return f"reachable, but no records since {_in_minutes(start)}; check this bot's name in `bot_names`"


def _page(line: Line, start: int, end: int) -> Page:
    try:
        return _request(line, start, end)
    except FutureEndError as error:
        line.now = end = int(error.server_now.timestamp()) - 1
    except RetriableAPIError:
        time.sleep(2)
    return _request(line, min(start, end - 1), end)


def _request(line: Line, start: int, end: int) -> Page:
    endpoint = line.stream.endpoint
    records = min(line.stream.config["page_size"], 100)  # the data comes from an archive, so responses are slow
    window = {"bot_name": line.bot_name, "start_time": start, "end_time": end, "per_page": records}
    endpoint.limiter.wait(threading.Event())
    began = time.monotonic()
    try:
        return page_of(endpoint.fetch(endpoint.sessions.new(), PageContext[str | None](window, None)))
    finally:
        line.slowest = max(time.monotonic() - began, line.slowest)


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
            if (value := _fields.decode(text).get(name)) is not None:
                form = re.sub(r"\d", "9", re.sub(r"\.\d+", ".9", json.dumps(value, default=float)))
                answers[stream, f"how `{name}` is written"].add(form if record[name] else "not as a time")
        times = [datetime.fromisoformat(record[name]).timestamp() for record in records if record[name]]
        line.newest = max([line.newest, *(moment for moment in times if moment <= line.now)])
        if len({*times}) >= 20:  # noqa: PLR2004 - fewer may be in order by chance
            rising = sorted(times)
            way = "rising" if times == rising else "falling" if times == rising[::-1] else "in no order"
            answers[stream, "does a page come in an order"].add(f"`{name}` {way}")
    return bool(records)


def _names(names: Iterable[str]) -> set[str]:
    return {name if is_field_name(name) else "…" for name in names} or {"none"}


def _in_minutes(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC" if moment else "-"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
