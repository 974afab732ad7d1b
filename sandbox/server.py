"""The Export API over HTTP, as documented, on loopback.

`Behaviour` chooses what the documentation leaves open, so that a tap can be tested with every reading of it. Errors
look like those of a cloud API gateway, which is inferred.
"""

import base64
import binascii
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from ssl import SSLContext
from typing import Any, Literal, get_args

import limits
from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.archive import DAY, Archive, Record
from sandbox.contract import CURSOR, DATA, ENDPOINTS, ID, KEY, KEY_HEADER, MOST_PER_PAGE, PARAMETERS, TIME_FIELDS
from sandbox.faults import Fault, asked, error, page

SelectBy = Literal["startTime", "lastActionAt"]
Order = Literal["start-rising", "start-falling", "action-rising", "action-falling", "none"]
TimeFormat = Literal["seconds", "milliseconds", "fraction", "digits", "iso"]

Edges = Literal["kept", "days", "no start_time", "no end_time"]
Empty = Literal["list", "null", "missing", "204"]
Cursor = Literal["text", "object", "once", "with a cookie", "of empty pages", "of the same page"]

SELECT_BY: tuple[SelectBy, ...] = get_args(SelectBy)
ORDERS: tuple[Order, ...] = get_args(Order)
TIME_FORMATS: tuple[TimeFormat, ...] = get_args(TimeFormat)
FOR_EVER = 10**15


@dataclass(frozen=True)
class Behaviour:
    """How the API behaves where its documentation does not say.

    Attributes:
        select_by: The time of a conversation that the window selects by.
        order: The time that a window's records are sorted by, and the direction; `none` scatters them.
        end_inclusive: Whether a record exactly at `end_time` is in the window.
        start_inclusive: Whether a record exactly at `start_time` is.
        times: How times are written. With whole seconds, windows also select by whole seconds.
        requests_per_second: Limit of each endpoint; 0 is no limit. The documented one is 3.
        latency: Seconds that every response takes.
        refuses_future: Whether an `end_time` later than the server's clock is an error.
        clock_behind: Seconds that the server's clock is behind.
        edges: Whether edges are rounded to `days`, or one of them is ignored.
        per_page: Most records on a page; more may be asked for.
        per_query: Most records of a query, after which `cursor` is null; 0 is no limit.
        empty: What a window without records is answered with.
        forbidden: Bots and streams that the key may not read (403).
        hiccup: The number of the request that is answered with 403, as by a firewall; 0 is none.
        cursor: Which form a cursor has, or under which condition it works; or pages go on for ever.
        cursor_seconds: How long a cursor works; 0 is for ever.
    """

    select_by: SelectBy = "lastActionAt"
    order: Order = "none"
    end_inclusive: bool = False
    start_inclusive: bool = True
    times: TimeFormat = "seconds"
    requests_per_second: int = 3
    latency: float = 0.0
    refuses_future: bool = False
    clock_behind: float = 0.0
    edges: Edges = "kept"
    per_page: int = MOST_PER_PAGE
    per_query: int = 0
    empty: Empty = "list"
    forbidden: tuple[str, ...] = ()
    hiccup: int = 0
    cursor: Cursor = "text"
    cursor_seconds: float = 0.0

    def time_of(self, milliseconds: int) -> int:
        """Return a time with the archive's precision, in Unix milliseconds."""
        return milliseconds // 1000 * 1000 if self.times in {"seconds", "digits"} else milliseconds

    def write_time(self, milliseconds: int) -> Any:
        """Return a time as it is written in the API's JSON."""
        match self.times:
            case "seconds":
                return milliseconds // 1000
            case "milliseconds":
                return milliseconds
            case "fraction":
                return milliseconds / 1000
            case "digits":
                return str(milliseconds // 1000)
            case "iso":
                return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

    def selects(self, start: int, end: int) -> tuple[int, int]:
        """Return the first and the last moment of a window, in Unix milliseconds."""
        if self.edges == "days":
            start, end = start // DAY * DAY, -(-end // DAY) * DAY
        first = start if self.start_inclusive else start + 1
        last = end if self.end_inclusive else end - 1
        return (0 if self.edges == "no start_time" else first), (FOR_EVER if self.edges == "no end_time" else last)

    def sort_key(self, stream: str, record: Record) -> tuple[int, str]:
        """Return a record's sort key within a window. The id makes the order total."""
        identity: str = record[ID]
        if self.order == "none":
            return zlib.crc32(identity.encode()), identity
        by, _, direction = self.order.partition("-")
        times = ENDPOINTS[stream].times
        moment: int = record[times[0] if by == "start" else times[-1]]
        return (moment if direction == "rising" else -moment), identity


@dataclass
class Sandbox:
    """An Export API over an archive.

    Attributes:
        archive: Its data.
        behaviour: How it behaves.
        is_living: Whether activity continues with the clock, or only when `archive.live` is called.
        fault: Breaks responses, or leaves them unchanged.
        requests: The query of each request that was admitted, and its `endpoint`, for tests that count them.
        refused: How many requests were refused with 429.
    """

    archive: Archive
    behaviour: Behaviour = field(default_factory=Behaviour)
    is_living: bool = False
    fault: Fault | None = None
    requests: list[dict[str, str]] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        """Make the lock and the rate limiter."""
        self._lock = threading.Lock()
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        self._numbers = count(1)
        self._used: set[str] = set()

    def app(self) -> Flask:
        """Build the web application."""
        app = Flask("sandbox")
        app.json.sort_keys = False  # type: ignore[attr-defined]

        @app.before_request
        def admit() -> Response | None:
            time.sleep(self.behaviour.latency)
            if request.headers.get(KEY_HEADER) != KEY:
                return error(403, "Forbidden")
            return self._limit(request.path)

        @app.after_request
        def break_some(answer: Response) -> Response:
            return self.fault(answer) if self.fault else answer

        @app.errorhandler(HTTPException)
        def in_the_gateways_style(failure: HTTPException) -> Response:
            return error(failure.code or 500, failure.description or failure.name)

        for stream, endpoint in ENDPOINTS.items():
            app.add_url_rule(endpoint.path, stream, partial(self._answer, stream))
        return app

    @contextmanager
    def running(self, port: int = 0, ssl_context: SSLContext | None = None) -> Iterator[str]:
        """Serve on loopback in a thread, for as long as the context lasts."""
        handler = type("Handler", (QuietHandler,), {"now": staticmethod(self._now)})
        server = make_server(
            "127.0.0.1", port, self.app(), threaded=True, request_handler=handler, ssl_context=ssl_context
        )
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield f"{'https' if ssl_context else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _now(self) -> float:
        return time.time() - self.behaviour.clock_behind

    def _limit(self, endpoint: str) -> Response | None:
        if not self.behaviour.requests_per_second:
            return None
        limit = limits.RateLimitItemPerSecond(self.behaviour.requests_per_second)
        if self._limiter.hit(limit, endpoint):
            return None
        self.refused += 1
        return error(429, "Too Many Requests", "1")

    def _answer(self, stream: str) -> Response:  # noqa: C901 - each reading is a line
        query, behaviour = asked(), self.behaviour
        self.requests.append({"endpoint": stream, **query})
        try:
            start, end = int(query["start_time"]) * 1000, int(query["end_time"]) * 1000
            bot_name = query["bot_name"]
            per_page = int(query.get("per_page", MOST_PER_PAGE))
            cursor = json.loads(base64.urlsafe_b64decode(query["cursor"])) if "cursor" in query else {}
        except KeyError as missing:
            abort(400, f"Missing required request parameters: [{PARAMETERS[missing.args[0]]}]")
        except (ValueError, binascii.Error):
            abort(400, "Invalid request parameters")
        if not 1 <= per_page <= MOST_PER_PAGE:
            abort(400, f"{PARAMETERS['per_page']} must be from 1 to {MOST_PER_PAGE}")
        if {stream, bot_name} & {*behaviour.forbidden} or len(self.requests) == behaviour.hiccup:
            abort(403, "Forbidden")
        if bot_name not in self.archive.records[stream]:
            abort(404, "Bot not found")
        if behaviour.refuses_future and end > self._now() * 1000:
            abort(400, f"{PARAMETERS['end_time']} must not be in the future")
        if cursor and not self._works(cursor, query["cursor"]):
            abort(400, "Invalid cursor")
        with self._lock:
            if self.is_living:
                self.archive.live(int(time.time() * 1000))
            rest = self._selected(stream, query, behaviour.selects(start, end), cursor.get("after"))
            left = behaviour.per_query - cursor.get("sent", 0) if behaviour.per_query else len(rest)
            chosen = rest[: min(per_page, behaviour.per_page, left)]
            data = [self._write(record) for _, record in chosen]
        if behaviour.cursor == "of empty pages" and (chosen or cursor):
            return self._page([] if cursor else data, {"after": None})
        if behaviour.cursor == "of the same page" and chosen:
            return self._page(data, {"after": None})
        is_last = len(chosen) == min(len(rest), left)
        last = None if is_last else {"after": chosen[-1][0], "sent": cursor.get("sent", 0) + len(chosen)}
        return self._page(data, last)

    def _selected(
        self, stream: str, query: dict[str, str], span: tuple[int, int], after: list[Any] | None
    ) -> list[tuple[tuple[int, str], Record]]:
        by = self.behaviour.select_by if stream == "conversations" else ENDPOINTS[stream].time
        found = [
            (self.behaviour.sort_key(stream, record), record)
            for record in self.archive.records[stream][query["bot_name"]].values()
            if span[0] <= self.behaviour.time_of(record[by]) <= span[1]
            and query.get("conversation_id") in {None, record.get("conversationId")}
        ]
        return sorted((pair for pair in found if after is None or list(pair[0]) > after), key=lambda pair: pair[0])

    def _page(self, data: list[Record], cursor: Record | None) -> Response:
        if cursor is None:
            match "list" if data else self.behaviour.empty:
                case "204":
                    return Response(status=204)
                case "missing":
                    return jsonify({CURSOR: None})
                case "null":
                    return jsonify({DATA: None, CURSOR: None})
            return page(data)
        session = request.cookies.get("session") or str(next(self._numbers))
        cursor |= {
            "number": next(self._numbers),
            "session": session,
            "until": time.time() + self.behaviour.cursor_seconds,
        }
        token = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()
        answer = page(data, {"token": token} if self.behaviour.cursor == "object" else token)
        answer.set_cookie("session", session)
        return answer

    def _works(self, cursor: Record, token: str) -> bool:
        is_used = token in self._used
        self._used.add(token)
        match self.behaviour.cursor:
            case "once":
                return not is_used
            case "with a cookie":
                return bool(request.cookies.get("session") == cursor["session"])
        return not self.behaviour.cursor_seconds or bool(time.time() < cursor["until"])

    def _write(self, record: Record) -> Record:
        return {
            name: self.behaviour.write_time(value) if name in TIME_FIELDS and isinstance(value, int) else value
            for name, value in record.items()
        }


class QuietHandler(WSGIRequestHandler):
    """Handles requests without logging each."""

    protocol_version = "HTTP/1.1"
    now = staticmethod(time.time)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time for the header `Date`."""
        return super().date_time_string(self.now() if timestamp is None else timestamp)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def connection_dropped(self, _: BaseException, __: Any = None) -> None:
        """Close the connection, without a traceback."""
        self.close_connection = True
