"""The Export API over HTTP, as documented, on loopback.

`Behaviour` chooses what the documentation leaves open, so that a tap can be tested with every reading of it. Errors
look like those of a cloud API gateway, which is inferred.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import limits
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.faults import error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ssl import SSLContext

    from _typeshed.wsgi import WSGIEnvironment

    from sandbox.archive import Archive, Record
    from sandbox.faults import Fault

SelectBy = Literal["startTime", "lastActionAt"]
Order = Literal["start-rising", "start-falling", "action-rising", "action-falling", "none"]
TimeFormat = Literal["seconds", "milliseconds", "fraction", "digits", "iso"]

SELECT_BY: tuple[SelectBy, ...] = get_args(SelectBy)
ORDERS: tuple[Order, ...] = get_args(Order)
TIME_FORMATS: tuple[TimeFormat, ...] = get_args(TimeFormat)

TIME_FIELDS = ("startTime", "lastActionAt", "time")
MOST_PER_PAGE = 1000
KEY = "sandbox-key"


@dataclass(frozen=True)
class Behaviour:
    """How the API behaves where its documentation does not say.

    Attributes:
        select_by: The time of a conversation that the window selects by.
        order: The time that a window's records are sorted by, and the direction; `none` scatters them.
        end_inclusive: Whether a record exactly at `end_time` is in the window.
        times: How times are written. With whole seconds, windows also select by whole seconds.
        requests_per_second: Limit of each endpoint; 0 is no limit. The documented one is 3.
        latency: Seconds that every response takes.
    """

    select_by: SelectBy = "lastActionAt"
    order: Order = "none"
    end_inclusive: bool = False
    times: TimeFormat = "seconds"
    requests_per_second: int = 3
    latency: float = 0.0

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

    def sort_key(self, record: Record) -> tuple[int, str]:
        """Return a record's sort key within a window. The id makes the order total."""
        identity: str = record["_id"]
        if self.order == "none":
            return zlib.crc32(identity.encode()), identity
        by, _, direction = self.order.partition("-")
        moment: int = record["time"] if "time" in record else record["startTime" if by == "start" else "lastActionAt"]
        return (moment if direction == "rising" else -moment), identity


@dataclass
class Sandbox:
    """An Export API over an archive.

    Attributes:
        archive: Its data.
        behaviour: How it behaves.
        is_living: Whether activity continues with the clock, or only when `archive.live` is called.
        fault: Breaks responses, or leaves them unchanged.
        requests: The query of each request answered so far, for tests that count them.
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

    def app(self) -> Flask:
        """Build the web application.

        Returns:
            A WSGI application with the two documented endpoints.
        """
        app = Flask("sandbox")
        app.json.sort_keys = False  # type: ignore[attr-defined]

        @app.before_request
        def admit() -> Response | None:
            time.sleep(self.behaviour.latency)
            if request.headers.get("x-api-key") != KEY:
                return error(403, "Forbidden")
            return self._limit(request.path)

        @app.after_request
        def break_some(answer: Response) -> Response:
            return self.fault(answer) if self.fault else answer

        @app.errorhandler(HTTPException)
        def in_the_gateways_style(failure: HTTPException) -> Response:
            return error(failure.code or 500, failure.name)

        @app.get("/conversations/export/v1/conversations")
        def conversations() -> Response:
            return self._answer(self.archive.conversations, self.behaviour.select_by)

        @app.get("/conversations/export/v1/messages")
        def messages() -> Response:
            return self._answer(self.archive.messages, "time")

        return app

    @contextmanager
    def running(self, port: int = 0, ssl_context: SSLContext | None = None) -> Iterator[str]:
        """Serve on loopback in a thread, for as long as the context lasts.

        Args:
            port: The port; 0 takes a free one.
            ssl_context: The certificate, to serve by https.

        Yields:
            The URL to give to the tap as `api_url`.
        """
        server = make_server(
            "127.0.0.1", port, self.app(), threaded=True, request_handler=QuietHandler, ssl_context=ssl_context
        )
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield f"{'https' if ssl_context else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _limit(self, endpoint: str) -> Response | None:
        if not self.behaviour.requests_per_second:
            return None
        limit = limits.RateLimitItemPerSecond(self.behaviour.requests_per_second)
        if self._limiter.hit(limit, endpoint):
            return None
        self.refused += 1
        return error(429, "Too Many Requests", "1")

    def _answer(self, records_by_bot: dict[str, dict[str, Record]], time_field: str) -> Response:
        query = request.args
        try:
            start, end = int(query["start_time"]) * 1000, int(query["end_time"]) * 1000
            bot_name = query["bot_name"]
            per_page = int(query.get("per_page", MOST_PER_PAGE))
            after = json.loads(base64.urlsafe_b64decode(query["cursor"])) if "cursor" in query else None
        except KeyError as missing:
            return error(400, f"Missing required request parameters: [{missing.args[0]}]")
        except (ValueError, binascii.Error):
            return error(400, "Invalid request parameters")
        if not 1 <= per_page <= MOST_PER_PAGE:
            return error(400, f"per_page must be from 1 to {MOST_PER_PAGE}")
        if bot_name not in records_by_bot:
            return error(404, "Bot not found")

        with self._lock:
            self.requests.append({"endpoint": request.path.rsplit("/", 1)[-1], **query})
            if self.is_living:
                self.archive.live(int(time.time() * 1000))
            moment = self.behaviour.time_of
            latest = end if self.behaviour.end_inclusive else end - 1
            selected = [
                (self.behaviour.sort_key(record), record)
                for record in records_by_bot[bot_name].values()
                if start <= moment(record[time_field]) <= latest
                and query.get("conversation_id") in {None, record.get("conversationId")}
            ]
            selected.sort(key=lambda pair: pair[0])
            rest = [pair for pair in selected if after is None or list(pair[0]) > after]
            page = rest[:per_page]
            data = [self._write(record) for _, record in page]
        cursor = base64.urlsafe_b64encode(json.dumps(page[-1][0]).encode()).decode() if len(rest) > per_page else None
        return jsonify(data=data, cursor=cursor)

    def _write(self, record: Record) -> Record:
        return {
            name: self.behaviour.write_time(value) if name in TIME_FIELDS and isinstance(value, int) else value
            for name, value in record.items()
        }


class QuietHandler(WSGIRequestHandler):
    """Handles requests without logging each."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def connection_dropped(self, _: BaseException, __: WSGIEnvironment | None = None) -> None:
        """Close the connection, without a traceback."""
        self.close_connection = True
