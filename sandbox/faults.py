"""Faults between an API and its clients, made on purpose.

A fault takes the sandbox's response and returns what a broken network, gateway or backend would return. `FAULTS` has
the transient ones, by name.
"""

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from flask import Response, jsonify, request

from sandbox.contract import CURSOR, DATA, PARAMETERS

Fault = Callable[[Response], Response]
"""Takes a correct response and returns a broken one."""

TOO_LATE = 1.2
"""Seconds after which a client with a timeout of one second has timed out."""


HTML = "<html><head><title>502 Bad Gateway</title></head><body>{}</body></html>"


def asked() -> dict[str, str]:
    """Return the query of the request under way, by the names that the sandbox uses."""
    return {name: request.args[theirs] for name, theirs in PARAMETERS.items() if theirs in request.args}


def page(records: Sequence[Any], cursor: Any = None, **more: Any) -> Response:
    """Return a page."""
    return jsonify({DATA: records, CURSOR: cursor, **more})


def error(status: int, message: str, retry_after: str | None = None) -> Response:
    """Return an error in the form of a cloud API gateway."""
    answer = jsonify(message=message)
    answer.status_code = status
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    return answer


def refuses(status: int, message: str, retry_after: str | None = None) -> Fault:
    """Make a fault that returns an error."""
    return lambda _: error(status, message, retry_after)


def says(body: str | bytes, status: int = 200, **headers: str) -> Fault:
    """Make a fault that returns another body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(body, status, named, mimetype="application/json")


def asks_to_wait_until_a_date(_: Response) -> Response:
    """Refuse with 429, and a date in `Retry-After`."""
    now = datetime.now(UTC)
    answer = error(429, "Too Many Requests", format_datetime(now + timedelta(seconds=1), usegmt=True))
    answer.headers["Date"] = format_datetime(now, usegmt=True)
    return answer


def closes(_: Response) -> Response:
    """Close the connection without a response."""
    return Response(send_then(b"", ConnectionAbortedError))


def resets(_: Response) -> Response:
    """Reset the connection without a response."""
    return Response(send_then(b"", _reset(request.environ["werkzeug.socket"])))


def resets_half_way(answer: Response) -> Response:
    """Reset the connection within the response."""
    return _half(answer, _reset(request.environ["werkzeug.socket"]))


def cuts_short(answer: Response) -> Response:
    """Close the connection within a response that has a `Content-Length`."""
    return _half(answer, ConnectionAbortedError)


def cuts_short_in_chunks(answer: Response) -> Response:
    """Close the connection within a chunked response."""
    cut = _half(answer, ConnectionAbortedError)
    del cut.headers["Content-Length"]
    return cut


def comes_late(answer: Response) -> Response:
    """Respond after the client has timed out."""
    time.sleep(TOO_LATE)
    return answer


def stalls(answer: Response) -> Response:
    """Send half of the response, and nothing more until the client has timed out."""

    def stall() -> Exception:
        time.sleep(TOO_LATE)
        return ConnectionAbortedError()

    return _half(answer, stall)


def leaves_half(answer: Response) -> Response:
    """Send half of the JSON as if it were complete."""
    return Response(answer.data[: len(answer.data) // 2], mimetype="application/json")


def half_of_the_records(*, is_last: bool = False, **sign: Any) -> Fault:
    """Make a fault that leaves out half of a page's records, and says so in a field beside them."""

    def leave_out(answer: Response) -> Response:
        whole = answer.get_json(silent=True) or {}
        records = whole.get(DATA) or []
        cursor = None if is_last else whole.get(CURSOR)
        return page(records[::2], cursor, **sign)

    return leave_out


def nothing_but(**sign: Any) -> Fault:
    """Make a fault that returns a page without records, and a field that says that it failed."""
    return lambda _: page([], **sign)


def _half(answer: Response, ending: Callable[[], Exception]) -> Response:
    body = answer.data
    return Response(send_then(body[: len(body) // 2], ending), headers={"Content-Length": str(len(body))})


def send_then(body: bytes, ending: Callable[[], Exception]) -> Iterator[bytes]:
    """Send a part of a body, or nothing, and end the connection."""
    if body:
        yield body
    raise ending()


def _reset(connection: socket.socket) -> Callable[[], Exception]:
    def reset() -> Exception:
        at_once = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        # The server keeps its file descriptor: replace it by a socket whose other side is closed.
        closed, other_side = socket.socketpair()
        other_side.close()
        os.dup2(closed.fileno(), connection.fileno())
        closed.close()
        return ConnectionResetError()

    return reset


FAULTS: dict[str, Fault] = {
    "408": refuses(408, "Request Timeout"),
    "425": refuses(425, "Too Early"),
    "429": refuses(429, "Too Many Requests"),
    "429 with `Retry-After` in seconds": refuses(429, "Too Many Requests", "1"),
    "429 with `Retry-After` as a date": asks_to_wait_until_a_date,
    "500": refuses(500, "Internal Server Error"),
    "502 with a page of HTML": says(HTML.format("Bad Gateway"), 502),
    "503 with `Retry-After`": refuses(503, "Service Unavailable", "1"),
    "504": refuses(504, "Endpoint request timed out"),
    "connection closed without a response": closes,
    "connection reset without a response": resets,
    "connection reset within the response": resets_half_way,
    "body cut short": cuts_short,
    "body in chunks, cut short": cuts_short_in_chunks,
    "response too late": comes_late,
    "response that stalls half-way": stalls,
    "200 with half of the JSON": leaves_half,
    "200 with a page of HTML": says(HTML.format("We are back soon")),
    "200 with nothing": says(""),
    "200 with an error in place of records": says('{"message": "Internal server error"}'),
    "200 with a body that is not what `Content-Encoding` says": says("no gzip", Content_Encoding="gzip"),
}
"""Transient faults: they pass when the request is sent again."""

PARTS: dict[str, Fault] = {
    "200 with half of the records and an `error`": half_of_the_records(error="shard 3 failed"),
    "200 with half of the records and `errors`": half_of_the_records(errors=[{"message": "shard 3 failed"}]),
    "200 with half of the records and `timed_out`": half_of_the_records(timed_out=True, is_last=True),
    "200 with half of the records and `hasMore`, no cursor": half_of_the_records(hasMore=True, is_last=True),
    "200 with half of the records and a larger `total`, no cursor": half_of_the_records(total=10**6, is_last=True),
    "200 with `success: false`": nothing_but(success=False),
    '200 with the status "error"': nothing_but(status="error"),
    "200 with a `message` and no records": nothing_but(message="try again"),
}
"""Transient faults, too: a page that says itself that it is not whole."""


class EveryNth:
    """Breaks every n-th response in the same way. If n is more than 1, it breaks one request twice at most."""

    def __init__(self, n: int, fault: Fault) -> None:
        """Start to count."""
        self.n = n
        self.fault = fault
        self.broken = 0
        self._asked = 0
        self._broken_for: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, answer: Response) -> Response:
        """Return the response, broken or not."""
        with self._lock:
            self._asked += 1
            is_due = self._asked % self.n == 0 and (self.n == 1 or self._broken_for[request.url] < 2)  # noqa: PLR2004
            self.broken += is_due
            self._broken_for[request.url] += is_due
        return self.fault(answer) if is_due else answer


class Sometimes:
    """Breaks random responses, each with a random fault."""

    def __init__(self, share: float, seed: int | None = None) -> None:
        """Seed the random numbers."""
        self.share = share
        self.broken = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, answer: Response) -> Response:
        """Return the response, broken or not."""
        with self._lock:
            fault = self._random.choice(list(FAULTS.values())) if self._random.random() < self.share else None
            self.broken += fault is not None
        return fault(answer) if fault else answer
