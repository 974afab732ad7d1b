"""A stand-in Export API that answers fast: the records are JSON beforehand, and an answer is a slice of them.

Run as a process of its own, so that only the reader is measured: `python -m benchmarks.server 100000`.
"""

import asyncio
import json
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence
from math import ceil
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click

from benchmarks.data import END, ORDERS, SHAPES, Data, Records, make_records
from sandbox.contract import CURSOR, DATA, ENDPOINTS, MOST_PER_PAGE, PARAMETERS

PATHS = [endpoint.path for endpoint in ENDPOINTS.values()]
NO_RECORDS = b'{"%b": [], "%b": null}' % (DATA.encode(), CURSOR.encode())


class Server:
    """The API, and an account of its requests."""

    def __init__(self, data: Data, latency: float, rate: int) -> None:
        """Prepare the records."""
        self._latency, self._rate = latency, rate
        self._padding = b', "padding": "%b"}' % (b"x" * data.padding) if data.padding else b"}"
        self._is_scattered = data.order == "none"
        self._records = {(ENDPOINTS[stream].path, bot): records for stream, bot, records in make_records(data)}
        self._under_way = 0
        self._reset()

    def _reset(self) -> None:
        self._answered, self._refused, self._most_under_way = 0, 0, self._under_way
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._orders: dict[tuple[str, str, int, int], Sequence[int]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.split(b" ", 2)[1].decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(target)
        given = {name: values[0] for name, values in parse_qs(url.query).items()}
        query = {name: given[theirs] for name, theirs in PARAMETERS.items() if theirs in given}
        if url.path not in PATHS:
            await _send(writer, "200 OK", json.dumps(self._own_answer(url.path, query)).encode())
        elif not self._admit(url.path):
            await _send(writer, "429 Too Many Requests", b'{"message": "Too Many Requests"}')
        else:
            self._under_way += 1
            self._most_under_way = max(self._most_under_way, self._under_way)
            try:
                body = self._page(url.path, query)
                await asyncio.sleep(self._latency)
                await _send(writer, "200 OK", body)
            finally:
                self._under_way -= 1

    def _own_answer(self, path: str, query: dict[str, str]) -> list[int]:
        """Answer a question of the benchmark's own."""
        if path == "/reset":
            self._reset()
        if path == "/needed":  # requests and records that a span takes, of conversations of all bots together
            spans = [_span(records, query) for (path, _), records in self._records.items() if path == PATHS[0]]
            return [sum(max(1, ceil(len(span) / MOST_PER_PAGE)) for span in spans), sum(map(len, spans))]
        return [self._answered, self._refused, self._most_under_way]

    def _admit(self, path: str) -> bool:
        now, recent = time.monotonic(), self._recent[path]
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if self._rate and len(recent) >= self._rate:
            self._refused += 1
            return False
        recent.append(now)
        self._answered += 1
        return True

    def _page(self, path: str, query: dict[str, str]) -> bytes:
        records = self._records.get((path, query["bot_name"]))
        if records is None:
            return NO_RECORDS
        first, size = int(query.get("cursor", 0)), int(query.get("per_page", MOST_PER_PAGE))
        order = self._order(path, records, query)
        page = b",".join(records.bodies[position][:-1] + self._padding for position in order[first : first + size])
        cursor = b'"%d"' % (first + size) if first + size < len(order) else b"null"
        return b'{"%b": [%b], "%b": %b}' % (DATA.encode(), page, CURSOR.encode(), cursor)

    def _order(self, path: str, records: Records, query: dict[str, str]) -> Sequence[int]:
        """The positions of a window's records, in the order in which they are sent."""
        span = _span(records, query)
        if not self._is_scattered:
            return span
        key = path, query["bot_name"], span.start, span.stop
        if key not in self._orders:
            self._orders[key] = sorted(span, key=records.hashes.__getitem__)
        return self._orders[key]


def _span(records: Records, query: dict[str, str]) -> range:
    return range(*(bisect_left(records.times, int(query[name])) for name in ("start_time", "end_time")))


async def _send(writer: asyncio.StreamWriter, status: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()


@click.command()
@click.argument("conversations", type=int)
@click.option("--bots", default=0, help="Serve `bot-0`, `bot-1` and so on; by default one bot named `bot`.")
@click.option("--days", default=90.0, show_default=True, help="Spread the conversations over so many days.")
@click.option("--shape", type=click.Choice(SHAPES), default="rhythm", show_default=True)
@click.option("--order", type=click.Choice(ORDERS), default="rising", show_default=True)
@click.option("--seed", default=4, show_default=True)
@click.option("--end", default=END, show_default=True, help="Where the data ends, in Unix seconds.")
@click.option("--padding", default=0, help="Add so many bytes to each record.")
@click.option("--messages", default=False, help="Whether each conversation has a message.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds that an answer takes.")
@click.option("--rate", default=0, help="Requests allowed in any second, for each endpoint; 0 is no limit.")
def main(latency: float, rate: int, **description: Any) -> None:
    """Serve each bot's CONVERSATIONS until interrupted. The first line of output is the URL.

    GET /counts returns the requests answered and refused, and the most that were under way at once; GET /reset sets
    them to 0. GET /needed?start_time=…&end_time=… returns how many requests and records that span takes.
    """

    async def run() -> None:
        server = Server(Data(**description), latency, rate)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        click.echo(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        async with listening:
            await listening.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
