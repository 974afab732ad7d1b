"""What goes wrong between an API and its clients, done on purpose.

A fault takes the answer that the sandbox would give and makes of it what a broken network, gateway or
backend would. `FAULTS` has those that pass by themselves, by name.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from flask import Response, jsonify, request

if TYPE_CHECKING:
    from collections.abc import Iterator

Fault = Callable[[Response], Response]
"""Makes of a whole answer a broken one."""

TOO_LATE = 1.2
"""Seconds after which a client with a timeout of one second has timed out."""

HTML = "<html><head><title>502 Bad Gateway</title></head><body>{}</body></html>"


def error(status: int, message: str, retry_after: str | None = None) -> Response:
    """Answer as a cloud API gateway does when it refuses.

    Args:
        status: The HTTP status.
        message: What it says.
        retry_after: When it wants to be asked again, in seconds or as a date.

    Returns:
        The answer.
    """
    answer = jsonify(message=message)
    answer.status_code = status
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    return answer


def refuses(status: int, message: str, retry_after: str | None = None) -> Fault:
    """Make a fault that answers with an error.

    Args:
        status: Its HTTP status.
        message: What it says.
        retry_after: When it wants to be asked again.

    Returns:
        The fault.
    """
    return lambda _: error(status, message, retry_after)


def says(body: str | bytes, status: int = 200, **headers: str) -> Fault:
    """Make a fault that answers with another body.

    Args:
        body: The body.
        status: The HTTP status.
        headers: Headers, with underscores for the hyphens in their names.

    Returns:
        The fault.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(body, status, named, mimetype="application/json")


def asks_to_wait_until_a_date(_: Response) -> Response:
    """Refuse, and say when to come again as a date."""
    now = datetime.now(UTC)
    answer = error(429, "Too Many Requests", format_datetime(now + timedelta(seconds=1), usegmt=True))
    answer.headers["Date"] = format_datetime(now, usegmt=True)
    return answer


def closes(_: Response) -> Response:
    """Close the connection without an answer."""
    return Response(send_then(b"", ConnectionAbortedError))


def resets(_: Response) -> Response:
    """Break the connection off without an answer."""
    return Response(send_then(b"", _reset(request.environ["werkzeug.socket"])))


def resets_half_way(answer: Response) -> Response:
    """Break the connection off within the answer."""
    return _half(answer, _reset(request.environ["werkzeug.socket"]))


def cuts_short(answer: Response) -> Response:
    """Close the connection within an answer that said how long it would be."""
    return _half(answer, ConnectionAbortedError)


def cuts_short_in_chunks(answer: Response) -> Response:
    """Close the connection within an answer that comes in chunks."""
    cut = _half(answer, ConnectionAbortedError)
    del cut.headers["Content-Length"]
    return cut


def comes_late(answer: Response) -> Response:
    """Answer when the client has timed out."""
    time.sleep(TOO_LATE)
    return answer


def stalls(answer: Response) -> Response:
    """Send half of the answer, and the rest when the client has timed out."""

    def stall() -> Exception:
        time.sleep(TOO_LATE)
        return ConnectionAbortedError()

    return _half(answer, stall)


def leaves_half(answer: Response) -> Response:
    """Send half of the JSON as if it were the whole."""
    return Response(answer.data[: len(answer.data) // 2], mimetype="application/json")


def _half(answer: Response, ending: Callable[[], Exception]) -> Response:
    body = answer.data
    return Response(send_then(body[: len(body) // 2], ending), headers={"Content-Length": str(len(body))})


def send_then(body: bytes, ending: Callable[[], Exception]) -> Iterator[bytes]:
    """Send a part of a body, or nothing, and end the connection.

    Args:
        body: What to send.
        ending: Does what is to be done then, and gives an error that ends a connection.

    Yields:
        The body.

    Raises:
        Exception: What `ending` gives.
    """
    if body:
        yield body
    raise ending()


def _reset(connection: socket.socket) -> Callable[[], Exception]:
    def reset() -> Exception:
        at_once = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        # The server still holds the connection: what it holds from now on is one whose other side is closed.
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
    "connection closed without an answer": closes,
    "connection reset without an answer": resets,
    "connection reset within the answer": resets_half_way,
    "body cut short": cuts_short,
    "body in chunks, cut short": cuts_short_in_chunks,
    "answer too late": comes_late,
    "answer that stalls half-way": stalls,
    "200 with half of the JSON": leaves_half,
    "200 with a page of HTML": says(HTML.format("We are back soon")),
    "200 with nothing": says(""),
    "200 with an error in place of `data`": says('{"message": "Internal server error"}'),
    "200 with null for `data`": says('{"data": null, "cursor": null}'),
    "200 with a body that is not what `Content-Encoding` says": says("no gzip", Content_Encoding="gzip"),
}
"""What passes when the same is asked again."""


class EveryNth:
    """Breaks every n-th answer in one way, but, unless it is each of them, that to one request twice at most."""

    def __init__(self, n: int, fault: Fault) -> None:
        """Begin to count.

        Args:
            n: Which answers to break.
            fault: How.
        """
        self.n = n
        self.fault = fault
        self.broken = 0
        self._asked = 0
        self._broken_for: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, answer: Response) -> Response:
        """Give an answer, broken or not."""
        with self._lock:
            self._asked += 1
            is_due = self._asked % self.n == 0 and (self.n == 1 or self._broken_for[request.url] < 2)  # noqa: PLR2004
            self.broken += is_due
            self._broken_for[request.url] += is_due
        return self.fault(answer) if is_due else answer


class Sometimes:
    """Breaks some answers, each in another way."""

    def __init__(self, share: float, seed: int | None = None) -> None:
        """Start the chances.

        Args:
            share: Which share of the answers to break.
            seed: The same seed breaks the same answers, if they are asked for in the same order.
        """
        self.share = share
        self.broken = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, answer: Response) -> Response:
        """Give an answer, broken or not."""
        with self._lock:
            fault = self._random.choice(list(FAULTS.values())) if self._random.random() < self.share else None
            self.broken += fault is not None
        return fault(answer) if fault else answer
