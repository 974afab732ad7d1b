"""What a fault does to a sync: each is tried, and what is seen becomes a row of `docs/faults.md`.

`make faults` writes the table anew; `test_faults.py` fails when it is not what is seen.
"""

import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from logging.handlers import BufferingHandler
from typing import Any
from unittest import mock

from flask import Response, request
from singer_sdk.exceptions import SingerSDKError

from sandbox.archive import DAY, Archive
from sandbox.contract import DATA, ENDPOINTS, ID, KEY, STREAMS
from sandbox.faults import FAULTS, EveryNth, Fault, asked, comes_late, error, page, refuses, says, send_then
from sandbox.server import Behaviour, Sandbox
from tests.support import ROOT, Collector, Json, Output, config_for, lost, patience, run_into

TABLE = ROOT / "docs/faults.md"
CONCURRENCIES = (1, 8)
END = 1_790_000_000_000
BUSIEST = END - 9 * DAY
LARGEST_PAGE = 10
FIRST_RECORD = f'"{DATA}":[{{'.encode()


@dataclass(frozen=True)
class Case:
    """A fault, and how to try it."""

    name: str
    fault: Callable[[], Fault]
    every: int = 4
    odd: Any = None
    serving: Callable[[Sandbox], AbstractContextManager[str]] = Sandbox.running
    timeout: int = 30
    patience: float = 60


def where(is_met: Callable[[], bool], fault: Fault) -> Fault:
    """Break only what some requests are answered with."""
    return lambda answer: fault(answer) if is_met() else answer


def asks_for_too_much() -> bool:
    """Whether a page of conversations is asked for that has more records than the API can give."""
    return request.path == ENDPOINTS["conversations"].path and int(asked()["per_page"]) > LARGEST_PAGE


def asks_for_too_much_of_the_busiest_day() -> bool:
    """The same, on one day only."""
    start, end = int(asked()["start_time"]), int(asked()["end_time"])
    return asks_for_too_much() and start <= BUSIEST // 1000 < end


def is_first_page() -> bool:
    return "cursor" not in asked()


def cursors_expire(times: int) -> Fault:
    """Refuse to go on in a window, as often as it is told."""
    refused = Counter[tuple[str, str, str]]()

    def refuse(answer: Response) -> Response:
        window = request.path, asked()["start_time"], asked()["end_time"]
        if is_first_page() or refused[window] == times:
            return answer
        refused[window] += 1
        return error(400, "Invalid cursor")

    return refuse


def gives_the_same_cursor(answer: Response) -> Response:
    """Point from a page to itself."""
    return page([] if asked().get("cursor") == "again" else answer.get_json()[DATA], "again")


def has_a_header_that_is_none(answer: Response) -> Response:
    """Send an invalid header line, with what must not be logged in it."""
    connection: socket.socket = request.environ["werkzeug.socket"]

    def send() -> Exception:
        head = (
            b"HTTP/1.1 200 OK\r\nno header but %b and customer1@example.com\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head % (KEY.encode(), len(answer.data)) + answer.data)
        return ConnectionAbortedError()

    return Response(send_then(b"", send))


def is_whole(answer: Response) -> Response:
    """Break nothing: it is the way there that is broken."""
    return answer


def replaces(old: bytes, new: bytes) -> Fault:
    """Write something else in a page, once."""
    return lambda answer: Response(answer.data.replace(old, new, 1), mimetype="application/json")


def holds(odd: bytes) -> Fault:
    """Give a page's first record a field that is odd."""
    return replaces(FIRST_RECORD, FIRST_RECORD + b'"odd":%b,' % odd)


@contextmanager
def resolving(fails: Callable[[Any], Any], sandbox: Sandbox) -> Iterator[str]:
    """Serve under a name that now and then does not lead there."""
    resolve, asked = socket.getaddrinfo, count(1)

    def resolve_sometimes(*args: Any, **options: Any) -> Any:
        found = resolve(*args, **options)
        return found if next(asked) % 4 else fails(found)

    with sandbox.running() as url, mock.patch("socket.getaddrinfo", resolve_sometimes):
        yield url.replace("127.0.0.1", "localhost")


def is_unknown(_: Any) -> Any:
    """Fail as a resolver does that is not there."""
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def leads_to_nobody(found: Any) -> Any:
    """Lead to a port on which nobody listens."""
    return [(*how, (address[0], 1, *address[2:])) for *how, address in found]


def passing(name: str, fault: Fault) -> Case:
    """Try a fault that passes by itself. What takes a second each time is tried less often."""
    is_slow = any(word in name for word in ("Retry-After", "too late", "stalls"))
    return Case(name, lambda: fault, every=16 if is_slow else 4, timeout=1)


def ending(status: int, message: str, every: int = 4) -> Case:
    """Try an error that does not pass."""
    return Case(f"{status}", lambda: where(is_first_page, refuses(status, message)), every)


CASES = {
    case.name: case
    for case in [
        *(passing(name, fault) for name, fault in FAULTS.items()),
        Case("connection refused", lambda: is_whole, serving=partial(resolving, leads_to_nobody)),
        Case("name not resolved", lambda: is_whole, serving=partial(resolving, is_unknown)),
        # Too large
        Case("413 for a large page", lambda: where(asks_for_too_much, refuses(413, "Request Entity Too Large")), 1),
        Case("500 for a large page", lambda: where(asks_for_too_much, refuses(500, "Internal Server Error")), 1),
        Case("504 for a large page", lambda: where(asks_for_too_much, refuses(504, "Endpoint request timed out")), 1),
        Case("large page too late", lambda: where(asks_for_too_much_of_the_busiest_day, comes_late), 1, timeout=1),
        Case("500 for each page with one certain record", lambda: fails_at_one_record, 1, patience=0.5),
        Case("413 for every page", lambda: refuses(413, "Request Entity Too Large"), 1),
        # Cursors
        Case("400 for a cursor, once in each window", lambda: cursors_expire(1), 1),
        Case("400 for every cursor", lambda: cursors_expire(10**6), 1),
        Case("the same cursor repeatedly", lambda: gives_the_same_cursor, 1),
        # Errors that do not pass
        ending(400, "Bad Request"),
        ending(401, "Unauthorized", 1),  # now and then, a retry helps
        ending(403, "Forbidden", 1),
        ending(404, "Bot not found"),
        Case("429 with a `Retry-After` of a day", lambda: refuses(429, "Limit Exceeded", "86400")),
        Case("302 to another host", lambda: says("", 302, Location="https://elsewhere.example.com/login?from=here")),
        # Odd
        Case("NUL and other control characters, escaped", lambda: holds(rb'"a\u0000\u001b[31m"'), odd="a\0\x1b[31m"),
        Case("half an emoji", lambda: holds(rb'"\ud83d!"'), 8, odd="\ufffd!"),
        Case("text that is not UTF-8", lambda: holds(b'"caf\xe9"'), 8, odd="caf\ufffd"),
        Case("an invalid header line", lambda: has_a_header_that_is_none),
        Case("a page of 20 MB", lambda: holds(b'"%b"' % (b"x" * 20_000_000)), 16, odd="x" * 20_000_000),
        # Not usable
        Case("a record that is not an object", lambda: replaces(FIRST_RECORD, FIRST_RECORD.replace(b"{", b"7,{"))),
        Case("a record without `_id`", lambda: replaces(f'"{ID}":'.encode(), b'"id":')),
        Case("NaN", lambda: holds(b"NaN")),
        Case("nested 100,000 times", lambda: holds(b'{"a":' * 100_000 + b"0" + b"}" * 100_000), 16),
    ]
}


ALL = " (the same for all"


def outcome_of(said: list[str], failure: str | None) -> str:
    """What became of a sync that has said this."""
    text = "\n".join(said)
    if failure:
        whose = "all bots fail" if ALL in failure else "this bot fails"
        assert failure in said or ALL in failure  # then the last line says it
        at_once = "" if "retrying in" in text or "again" in text else " at once"
        return f"{whose}{at_once}; next run complete"
    if "in halves" in text:
        return f"read in {'smaller pages' if 'in pages of' in text else 'halves'}; complete"
    return "retried; complete" if "retrying in" in text else "emitted; complete"


def run(url: str, concurrency: int, case: Case, state: Json | None = None) -> tuple[Output, list[str], str | None]:
    """Run the tap over ten days, in twenty windows; gives its messages, what it has said, and what ended it."""
    config = config_for(
        url, start_date="2026-09-11", end_date="2026-09-23", window_days=1, page_size=20,
        concurrency=concurrency, request_timeout=case.timeout,
    )  # fmt: skip
    writer, heard, logger = Collector(), BufferingHandler(10**6), logging.getLogger("tap-deepconverse")
    heard.setLevel(logging.WARNING)
    logger.addHandler(heard)
    failure = None
    try:
        with patience(first_wait=0.01, longest_wait=0.05, total=case.patience):
            run_into(writer, config, state)
    except SingerSDKError as failed:
        failure = str(failed)
    finally:
        logger.removeHandler(heard)
    said = [record.getMessage() for record in heard.buffer]
    # The API answers again in the end, whatever it was.
    return writer.output, [line for line in said if "answers again" not in line], failure


def source() -> Archive:
    """A bot that has talked on ten days, most on the first."""
    archive = Archive(seed=7)
    archive.add_bot("bot", 50, END - 10 * DAY, END)
    for minute in range(30):
        archive.hold_conversation("bot", BUSIEST + minute * 60_000, END)
    return archive


POISONOUS = list(source().conversations["bot"])[-1].encode()


def fails_at_one_record(answer: Response) -> Response:
    return error(500, "Internal Server Error") if POISONOUS in answer.data else answer


def observe(case: Case, concurrency: int) -> str:
    """Sync while something goes wrong, and again where that ended the sync; gives the row of the table."""
    broken = EveryNth(case.every, case.fault())
    sandbox = Sandbox(source(), Behaviour(requests_per_second=0), fault=broken)
    with case.serving(sandbox) as url:
        output, said, failure = run(url, concurrency, case)
        assert broken.broken
        outputs = [output]
        if failure:
            sandbox.fault = None
            second, _, again = run(url, concurrency, case, output.state if output.states else None)
            assert again is None
            outputs.append(second)
    assert lost(sandbox, *outputs) == []
    if case.odd is not None:
        fields = [record["additional_fields"] or {} for stream in STREAMS for record in output.records(stream)]
        assert {each["odd"] for each in fields if "odd" in each} == {case.odd}
    outcome = outcome_of(said, failure)
    if "at once" in outcome and case.every > 1:
        # A bot fails in each stream, and a page of windows before the failed one may still be under way.
        assert broken.broken <= 2 * len(STREAMS) * (concurrency + 1)
    every = f"1 in {case.every}" if case.every > 1 else "always"
    messages = sorted({plainly(line) for line in ([failure] if failure else said)})
    return f"| {case.name} | {every} | {outcome} | {'; '.join(messages) or 'nothing'} |"


def plainly(line: str) -> str:
    """Take out of what was said what is different each time."""
    line = line.partition(ALL)[0].partition("': ")[2].rstrip(".") or line.partition(ALL)[0]
    line = re.sub(r"the window from [-:\dTZ]+ to [-\d]+T[\d:]+Z", "the window", line)
    line = re.sub(r"; retrying in .*", "", line)
    line = re.sub(r"\b(record|page|pages of|after|attempt) \d+", r"\1 n", line)
    # From Python 3.14 on, a page may be nested at will.
    line = line.replace("record n of page n of the window is nested", "the response is nested")
    return line.replace("|", r"\|")


HEAD = f"""\
# Faults, and their outcomes

`make faults` tries each fault against the sandbox, with `concurrency` {" and ".join(map(str, CONCURRENCIES))},
and writes this table, which a test repeats. "Complete" means that every row that arrived equals the source's. `n` is a
number.

| fault | how often | outcome | messages |
| --- | --- | --- | --- |
"""


def main() -> None:
    """Try all faults, and write the table."""
    rows = []
    for case in CASES.values():
        one, *others = {observe(case, concurrency) for concurrency in CONCURRENCIES}
        assert not others, f"{case.name}: what becomes of it depends on `concurrency`"
        rows.append(one)
    TABLE.write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
